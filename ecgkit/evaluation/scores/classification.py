"""Computes all metrics of a classification on the test set, with confidence intervals by bootstrap over patients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Mean
from ecgkit.evaluation.scores.bootstrap import Intervals, bootstrap_counts, finite_interval, intervals
from ecgkit.evaluation.scores.metrics import Floats, Weights, f1_at, ranking_metrics
from ecgkit.evaluation.scores.significance import delong
from ecgkit.evaluation.scores.thresholds import best_f1_thresholds
from ecgkit.tasks.data import TaskData

# With fewer positive test records an AUROC is unreliable; the row names such classes.
FEW_POSITIVES = 10


@dataclass(frozen=True)
class ClassificationScores:
    """All metrics of the test set.

    Args:
        values: ``[C]`` for each metric, by name; NaN for a class without a value.
        spreads: Intervals of each metric, by name.
        means: Mean over classes of each metric, by name.
        thresholds: ``[C]``, chosen on the validation set; infinity for a class without positives there.
        standard_errors: Standard errors of the AUROC, ``[C]``.
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
        patients: The patient of each of `data.rows`.
    """
    test, val = data.parts["test"], data.parts["val"]
    targets, scores = data.targets[test], probabilities[test]
    thresholds = best_f1_thresholds(data.targets[val], probabilities[val])

    def metrics(weights: Weights) -> dict[str, Floats]:
        return {**ranking_metrics(targets, scores, weights), "f1": f1_at(targets, scores, thresholds, weights)}

    found, resampled = metrics(None), metrics(bootstrap_counts(patients[test].tolist()))
    both = targets.any(0) & ~targets.all(0)
    scored = {name: both & np.isfinite(thresholds) if name == "f1" else both for name in found}
    values = {name: np.where(scored[name], found[name], np.nan) for name in found}
    drawn = {name: np.where(scored[name], resampled[name], np.nan) for name in found}
    spreads = {name: intervals(drawn[name]) for name in found}
    means = {name: _mean(values[name], spreads[name]) for name in found}
    enough = targets.sum(0) >= FEW_POSITIVES
    stable = _mean(values["auroc"][enough], intervals(drawn["auroc"][:, enough]))
    means = {"auroc": means.pop("auroc"), "auroc_stable": stable, **means}
    return ClassificationScores(values, spreads, means, thresholds, np.sqrt(delong(targets, scores)[1]))


def _mean(values: Floats, spread: Intervals) -> Mean:
    defined = values[np.isfinite(values)]
    return Mean(
        value=float(defined.mean()) if len(defined) else None,
        interval=finite_interval(spread.macro),
        classes=len(defined),
    )
