"""Every metric of a test part, with intervals from one set of resamples of its patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Mean
from ecgkit.evaluation.scores.metrics import Floats, best_f1_thresholds, f1_at, ranking_metrics
from ecgkit.evaluation.scores.statistics import Intervals, delong, intervals, resample
from ecgkit.tasks.data import TaskData

# Below this many test positives an AUROC says little; such classes are named in the row.
FEW_POSITIVES = 10
DRAWS = 1000


@dataclass(frozen=True)
class Measured:
    """Every metric of the test part.

    Args:
        values: Metric name -> ``[C]``, NaN where a class has no value.
        spreads: Metric name -> its intervals.
        means: Metric name -> its mean over classes.
        thresholds: ``[C]``, chosen on val; infinity where val has no positive.
        standard_errors: ``[C]`` of the AUROC.
    """

    values: dict[str, Floats]
    spreads: dict[str, Intervals]
    means: dict[str, Mean]
    thresholds: Floats
    standard_errors: Floats


def measure(data: TaskData, probabilities: NDArray[np.float64], patients: NDArray[Any]) -> Measured:
    """Score the test part by every metric, with intervals from one set of resamples of its patients.

    Args:
        data: The task on its store.
        probabilities: ``[len(data.rows), C]``.
        patients: The patient of each of `data.rows`.
    """
    test, val = data.parts["test"], data.parts["val"]
    targets, scores = data.targets[test], probabilities[test]
    thresholds = best_f1_thresholds(data.targets[val], probabilities[val])
    weights = resample(patients[test].tolist(), draws=DRAWS)
    values, spreads, means = {}, {}, {}
    enough = targets.sum(0) >= FEW_POSITIVES
    both = targets.any(0) & ~targets.all(0)
    found, resampled = (
        {**ranking_metrics(targets, scores, counts), "f1": f1_at(targets, scores, thresholds, counts)}
        for counts in (None, weights)
    )
    for name in found:
        scored = both & np.isfinite(thresholds) if name == "f1" else both
        drawn = np.where(scored, resampled[name], np.nan)
        values[name], spreads[name] = np.where(scored, found[name], np.nan), intervals(drawn)
        means[name] = _mean(values[name], spreads[name])
        if name == "auroc":
            means["auroc_stable"] = _mean(values[name][enough], intervals(drawn[:, enough]))
    return Measured(values, spreads, means, thresholds, np.sqrt(delong(targets, scores)[1]))


def _mean(values: Floats, spread: Intervals) -> Mean:
    defined = values[np.isfinite(values)]
    return Mean(
        value=float(defined.mean()) if len(defined) else None, interval=pair(spread.macro), classes=len(defined)
    )


def pair(bounds: Sequence[float] | Floats) -> tuple[float, float] | None:
    """Return an interval for JSON: None where it has no bounds."""
    return (float(bounds[0]), float(bounds[1])) if np.isfinite(bounds).all() else None
