"""Bootstrap over patients: confidence intervals of scores.

Patients are drawn with replacement and bring all their records, because the records of one patient are not independent
(Field and Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69:369-390, 2007). Intervals are percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.scores.metrics import Floats

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
class Difference:
    """The difference between two models on the same records.

    Args:
        value: First minus second.
        interval: Confidence interval of the difference.
        p: Two-sided p value.
    """

    value: float
    interval: tuple[float, float]
    p: float


def _percentiles(column: Floats, level: float) -> Floats:
    defined = column[np.isfinite(column)]
    tails = [50 * (1 - level), 50 * (1 + level)]
    return np.percentile(defined, tails) if len(defined) else np.array([np.nan, np.nan])
