"""Computes all metrics of a classification on the test set, with confidence intervals over patients.

The intervals of the AUROC come from `ecgkit.evaluation.scores.areas`, all others from a bootstrap over patients. A
bootstrap of few patients is too narrow, so it is stated only where simulated intervals covered the truth in about 95 %
of cases (`tests/evaluation/test_honest_numbers.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Mean
from ecgkit.evaluation.scores.areas import Areas, areas, macro_interval, unit_numbers
from ecgkit.evaluation.scores.bootstrap import Intervals, bootstrap_counts, finite_interval, intervals
from ecgkit.evaluation.scores.metrics import Floats, Weights, f1_at, ranking_metrics
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.tasks.data import TaskData

# With fewer positive test records an AUROC is unreliable; the row names such classes.
FEW_POSITIVES = 10
# A bootstrap interval of a class needs this many units (patients, or recordings) on both sides, and that of a mean over
# classes this many in every class.
BOOTSTRAP_UNITS, BOOTSTRAP_MEAN_UNITS = 10, 30


@dataclass(frozen=True)
class ClassificationScores:
    """All metrics of the test set.

    Args:
        values: ``[C]`` for each metric, by name; NaN for a class without a value.
        spreads: Intervals of each metric, by name.
        means: Mean over classes of each metric, by name.
        thresholds: ``[C]``, chosen on the validation set; infinity for a class without positives there.
        standard_errors: Standard errors of the AUROC over patients, ``[C]``; NaN for a class with one on a side.
    """

    values: dict[str, Floats]
    spreads: dict[str, Intervals]
    means: dict[str, Mean]
    thresholds: Floats
    standard_errors: Floats


def score_classes(data: TaskData, probabilities: NDArray[np.float64], patients: NDArray[Any]) -> ClassificationScores:
    """Compute all metrics on the test set. One set of resamples of its patients gives all intervals.

    Args:
        data: The task on its store.
        probabilities: ``[len(data.rows), C]``.
        patients: The patient of each of `data.rows`, or its recording if the patient is unknown.
    """
    test, val = data.parts["test"], data.parts["val"]
    targets, scores, units = data.targets[test], probabilities[test], unit_numbers(patients[test])
    thresholds = best_f1_thresholds(data.targets[val], probabilities[val])

    def metrics(weights: Weights) -> dict[str, Floats]:
        return {**ranking_metrics(targets, scores, weights), "f1": f1_at(targets, scores, thresholds, weights)}

    found, resampled, measured = metrics(None), metrics(bootstrap_counts(units)), areas(targets, scores, units)
    both = targets.any(0) & ~targets.all(0) & _learnt(data)
    scored = {name: both & np.isfinite(thresholds) if name == "f1" else both for name in found}
    values = {name: np.where(scored[name], found[name], np.nan) for name in found}
    spreads = {
        name: _area_spread(measured, both) if name == "auroc" else _spread(resampled[name], scored[name], measured)
        for name in found
    }
    means = {name: _mean(values[name], spreads[name]) for name in found}
    enough = both & (targets.sum(0) >= FEW_POSITIVES)
    stable = _mean(values["auroc"][enough], _area_spread(measured, enough))
    means = {"auroc": means.pop("auroc"), "auroc_stable": stable, **means}
    return ClassificationScores(values, spreads, means, thresholds, np.sqrt(measured.variances))


def _learnt(data: TaskData) -> NDArray[np.bool_]:
    """Return the classes that the head could learn, ``[C]``: training has positives and negatives of them.

    A head without training records learns none from them.
    """
    train = data.targets[data.parts["train"]]
    return np.asarray(train.any(0) & ~train.all(0)) if len(train) else np.ones(data.targets.shape[1], bool)


def _area_spread(measured: Areas, scored: NDArray[np.bool_]) -> Intervals:
    """Return the intervals of the AUROC of some classes, and of their mean."""
    return Intervals(macro_interval(measured, scored), np.where(scored[:, None], measured.intervals, np.nan))


def _spread(drawn: Floats, scored: NDArray[np.bool_], measured: Areas) -> Intervals:
    """Return the intervals of another metric, without those that would be too narrow."""
    found = intervals(np.where(scored, drawn, np.nan))
    enough = measured.units >= BOOTSTRAP_UNITS
    every = bool((measured.units[scored] >= BOOTSTRAP_MEAN_UNITS).all())
    macro = found.macro if every else (float("nan"), float("nan"))
    return Intervals(macro, np.where(enough[:, None], found.classes, np.nan))


def _mean(values: Floats, spread: Intervals) -> Mean:
    defined = values[np.isfinite(values)]
    return Mean(
        value=float(defined.mean()) if len(defined) else None,
        interval=finite_interval(spread.macro),
        classes=len(defined),
    )
