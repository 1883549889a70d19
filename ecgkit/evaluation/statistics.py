"""Intervals by the patient-clustered bootstrap.

Patients are drawn with replacement and bring all their records, for the records of one patient are not independent
(Field and Welsh, Bootstrapping clustered data, J. R. Stat. Soc. B 69:369-390, 2007). Intervals are percentiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.metrics import auroc


@dataclass(frozen=True)
class AurocIntervals:
    """Percentile intervals.

    Args:
        macro: Of the mean over classes, (low, high).
        classes: ``[C, 2]`` of each class; NaN where it has no AUROC.
        draws: How many resamples stand behind them.
    """

    macro: tuple[float, float]
    classes: NDArray[np.float64]
    draws: int


def bootstrap_auroc(
    targets: NDArray[np.integer],
    scores: NDArray[np.floating],
    patients: Sequence[str],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> AurocIntervals:
    """Return intervals of the AUROC of each class and of their mean.

    Args:
        targets: ``[R, C]``.
        scores: ``[R, C]``.
        patients: R ids; records of one id are drawn together.
        draws: Resamples. A draw in which a class has no positive or no negative does not count for that class,
            and the macro mean is taken over the classes of the draw that have both.
        level: Coverage.
        seed: Of the draws.
    """
    _, patient_of = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    members = np.split(np.argsort(patient_of, kind="stable"), np.cumsum(np.bincount(patient_of))[:-1])
    rng = np.random.default_rng(seed)
    values = np.full((draws, targets.shape[1]), np.nan)
    for draw in range(draws):
        chosen = rng.integers(0, len(members), len(members))
        rows = np.concatenate([members[p] for p in chosen])
        values[draw] = auroc(targets[rows], scores[rows])
    tails = [50 * (1 - level), 50 * (1 + level)]
    scored = np.isfinite(values).any(axis=1)
    macro = np.percentile(np.nanmean(values[scored], axis=1), tails) if scored.any() else [np.nan, np.nan]
    classes = np.array([_percentiles(column, tails) for column in values.T])
    return AurocIntervals((float(macro[0]), float(macro[1])), classes, draws)


def _percentiles(column: NDArray[np.float64], tails: list[float]) -> NDArray[np.float64]:
    defined = column[np.isfinite(column)]
    return np.percentile(defined, tails) if len(defined) else np.array([np.nan, np.nan])
