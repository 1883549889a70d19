"""Bootstrap over patients: confidence intervals of scores and of differences between scores.

Patients are drawn with replacement and bring all their records, because the records of one patient are not independent
(Field and Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69:369-390, 2007). Intervals are percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.scores.metrics import Floats, auroc, macro_mean

DRAWS = 1000
LEVEL = 0.95


def bootstrap_counts(
    patients: Sequence[str] | NDArray[np.integer], *, draws: int = DRAWS, seed: int = 0
) -> NDArray[np.uint16]:
    """Return how often each record counts in each resample, ``[draws, R]``.

    A record counts as often as its patient was drawn.

    Args:
        patients: The patient of each of R records.
        draws: Number of resamples.
        seed: Seed of the draws.
    """
    _, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    count = int(patient_of.max()) + 1
    rng = np.random.default_rng(seed)
    times = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) for _ in range(draws)])
    return times.astype(np.uint16)[:, patient_of]


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals of one metric.

    Args:
        macro: Interval of the mean over classes, (low, high); NaN if no resample has a value.
        classes: Interval of each class, ``[C, 2]``; NaN for a class without a value.
    """

    macro: tuple[float, float]
    classes: Floats


def intervals(values: Floats, level: float = LEVEL) -> Intervals:
    """Return intervals from a metric's values on resamples.

    Args:
        values: Values of the metric, ``[K, C]``. A resample in which a class has no value does not count for that
            class; its macro mean is taken over the classes that have a value.
        level: Coverage.
    """
    scored = np.isfinite(values).any(axis=1)
    macro = _percentiles(np.nanmean(values[scored], axis=1), level)
    classes = np.array([_percentiles(column, level) for column in values.T]).reshape(-1, 2)
    return Intervals((float(macro[0]), float(macro[1])), classes)


def finite_interval(bounds: Sequence[float] | Floats) -> tuple[float, float] | None:
    """Return an interval for JSON: None if its bounds are not finite."""
    return (float(bounds[0]), float(bounds[1])) if np.isfinite(bounds).all() else None


@dataclass(frozen=True)
class Resampled:
    """A model's AUROC on a test set and on its resamples, for comparison with other models.

    Args:
        macro: Macro AUROC on the test set.
        draws: AUROC of each class on each resample, ``[K, C]``.
    """

    macro: float
    draws: Floats

    @classmethod
    def of(
        cls, targets: NDArray[np.integer], scores: NDArray[np.floating], weights: NDArray[np.integer]
    ) -> "Resampled":
        """Score ``[R, C]`` predictions on the records and on their resamples ``[K, R]``."""
        return cls(macro_mean(auroc(targets, scores)), auroc(targets, scores, weights))


@dataclass(frozen=True)
class Difference:
    """The difference between two models on the same records.

    Args:
        value: First minus second.
        interval: Percentile interval of the difference.
        p: Two-sided p value, from the share of resamples on either side of 0.
    """

    value: float
    interval: tuple[float, float]
    p: float


def auroc_difference(first: Resampled, second: Resampled, level: float = LEVEL) -> Difference:
    """Compare the macro AUROC of two models that were scored on the same records and resamples."""
    draws = first.draws - second.draws
    draws = np.nanmean(draws[np.isfinite(draws).any(axis=1)], axis=1)
    return difference_of(first.macro - second.macro, draws, level)


def difference_of(value: float, draws: Floats, level: float = LEVEL) -> Difference:
    """Return a difference with its interval and p value.

    Args:
        value: Difference on the records themselves.
        draws: Difference on each resample, ``[K]``.
        level: Coverage.
    """
    low, high = _percentiles(draws, level)
    # One is added to both counts, so that p is never exactly 0.
    tail = (min((draws <= 0).sum(), (draws >= 0).sum()) + 1) / (len(draws) + 1)
    return Difference(value, (float(low), float(high)), min(1.0, 2 * float(tail)))


def _percentiles(column: Floats, level: float) -> Floats:
    defined = column[np.isfinite(column)]
    tails = [50 * (1 - level), 50 * (1 + level)]
    return np.percentile(defined, tails) if len(defined) else np.array([np.nan, np.nan])
