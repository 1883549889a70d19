"""Intervals, tests and corrections for scores on one test set.

Patients are drawn with replacement and bring all their records, for the records of one patient are not independent
(Field and Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69:369-390, 2007). Intervals are percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from ecgkit.evaluation.scores.metrics import Floats, auroc

LEVEL = 0.95


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of one metric.

    Args:
        macro: Of the mean over classes, (low, high); NaN where no resample has a value.
        classes: ``[C, 2]`` of each class; NaN where it has no value.
    """

    macro: tuple[float, float]
    classes: Floats


def resample(patients: Sequence[str], *, draws: int = 1000, seed: int = 0) -> NDArray[np.uint16]:
    """Return how often each record counts in each resample, ``[draws, R]``: as often as its patient was drawn."""
    _, patient_of = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    count = int(patient_of.max()) + 1
    rng = np.random.default_rng(seed)
    times = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)])
    return times.astype(np.uint16)[:, patient_of]


def intervals(values: Floats, level: float = LEVEL) -> Intervals:
    """Return intervals from a metric's values on resamples.

    Args:
        values: ``[K, C]``. A resample in which a class has no value does not count for that class, and its macro mean
            is taken over the classes that have one.
        level: Coverage.
    """
    scored = np.isfinite(values).any(axis=1)
    macro = _percentiles(np.nanmean(values[scored], axis=1), level)
    classes = np.array([_percentiles(column, level) for column in values.T]).reshape(-1, 2)
    return Intervals((float(macro[0]), float(macro[1])), classes)


@dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same records.

    Args:
        value: Of the macro means, first less second.
        interval: Percentile interval of it.
        p: Two-sided, from the share of resamples on either side of 0.
    """

    value: float
    interval: tuple[float, float]
    p: float


def paired_difference(
    targets: NDArray[np.integer],
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    weights: NDArray[np.integer],
    level: float = LEVEL,
) -> Difference:
    """Compare two models' macro AUROC on the same records and the same resamples.

    Args:
        targets: ``[R, C]``.
        first: Scores of one model, ``[R, C]``.
        second: Scores of the other.
        weights: ``[K, R]`` from `resample`.
        level: Coverage.
    """
    return difference(Resampled.of(targets, first, weights), Resampled.of(targets, second, weights), level)


@dataclass(frozen=True)
class Resampled:
    """A model's AUROC on a test set, kept for comparing it with several others.

    Args:
        macro: Mean over classes.
        draws: ``[K, C]``, of each class on each resample.
    """

    macro: float
    draws: Floats

    @classmethod
    def of(
        cls, targets: NDArray[np.integer], scores: NDArray[np.floating], weights: NDArray[np.integer]
    ) -> "Resampled":
        """Score ``[R, C]`` predictions on the records and on their resamples ``[K, R]``."""
        return cls(float(np.nanmean(auroc(targets, scores))), auroc(targets, scores, weights))


def difference(first: Resampled, second: Resampled, level: float = LEVEL) -> Difference:
    """Compare two models that were scored on the same resamples; see `paired_difference`."""
    draws = first.draws - second.draws
    draws = np.nanmean(draws[np.isfinite(draws).any(axis=1)], axis=1)
    return difference_of(first.macro - second.macro, draws, level)


def difference_of(value: float, draws: Floats, level: float = LEVEL) -> Difference:
    """Return a difference with its interval and p.

    Args:
        value: On the records themselves.
        draws: ``[K]``, on each resample.
        level: Coverage.
    """
    low, high = _percentiles(draws, level)
    # One is added to both counts, so that no p is 0 for want of resamples.
    tail = (min((draws <= 0).sum(), (draws >= 0).sum()) + 1) / (len(draws) + 1)
    return Difference(value, (float(low), float(high)), min(1.0, 2 * float(tail)))


def delong(
    targets: NDArray[np.integer], first: NDArray[np.floating], second: NDArray[np.floating] | None = None
) -> tuple[Floats, Floats]:
    """Return the AUROC of each class, or the difference of two models', with its variance: ``[C]`` each.

    DeLong et al., Comparing the areas under two or more correlated receiver operating characteristic curves,
    Biometrics 44:837-845 (1988), computed from midranks as Sun and Xu, IEEE Signal Process. Lett. 21:1389-1393
    (2014). Records count as independent. NaN for a class without two positives and two negatives.
    """
    areas, variances = np.full((2, targets.shape[1]), np.nan)
    for c, y in enumerate(targets.T):
        positive = y == 1
        if min(positive.sum(), (~positive).sum()) < 2:
            continue
        placed = [_placements(positive, scores[:, c]) for scores in (first, second) if scores is not None]
        above, below = (placed[0][i] - (placed[1][i] if second is not None else 0) for i in (0, 1))
        areas[c] = above.mean()
        variances[c] = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    return areas, variances


def delong_p(difference: Floats, variance: Floats) -> Floats:
    """Return the two-sided p of DeLong's test; 1 where the two models rank all records alike."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(variance > 0, np.abs(difference) / np.sqrt(variance), np.where(difference == 0, 0.0, np.inf))
    return np.where(np.isnan(difference), np.nan, 2 * scipy.stats.norm.sf(z))


def holm(p: Sequence[float]) -> Floats:
    """Return p values corrected for their number (Holm, Scand. J. Stat. 6:65-70, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    steps = values[order] * (len(values) - np.arange(len(values)))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _placements(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, and for each negative that of positives above it."""
    ranks = scipy.stats.rankdata(scores)
    m, n = int(positive.sum()), int((~positive).sum())
    among_positives, among_negatives = (scipy.stats.rankdata(scores[part]) for part in (positive, ~positive))
    return (ranks[positive] - among_positives) / n, 1 - (ranks[~positive] - among_negatives) / m


def _percentiles(column: Floats, level: float) -> Floats:
    defined = column[np.isfinite(column)]
    tails = [50 * (1 - level), 50 * (1 + level)]
    return np.percentile(defined, tails) if len(defined) else np.array([np.nan, np.nan])
