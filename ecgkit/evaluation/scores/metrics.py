"""Metrics of multi-label classification: targets ``[R, C]`` of 0 and 1, scores ``[R, C]``, higher is more positive.

Each also takes `weights` ``[K, R]``: how often each record counts in each of K resamples. The result is then
``[K, C]``, what the metric would be on each resample, without sorting anything anew.

A class without both positives and negatives has no AUROC: it is NaN here, is left out of means, and every caller names
it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.integer] | None
Targets = NDArray[np.integer]
Scores = NDArray[np.floating]


def ranking_metrics(
    targets: Targets, scores: Scores, weights: Weights = None, *, specificity: float = 0.9
) -> dict[str, Floats]:
    """Return all that the order of the scores decides, in one pass for each class and resample.

    Returns:
        ``[C]`` or ``[K, C]`` of each: ``auroc``, ``auprc``, ``f1_max`` and ``sensitivity``; see the functions of one
        metric below.
    """
    from ecgkit.evaluation.scores import curve_kernel  # numba takes a while to import

    counts = np.ones((1, len(targets))) if weights is None else weights
    counts = np.ascontiguousarray(counts, np.int32)
    values = np.empty((4, targets.shape[1], len(counts)))
    for c, (y, s) in enumerate(zip(targets.T, scores.T, strict=True)):
        order, last = _ranking(s)
        curve_kernel.curve(order, last, y == 1, counts, 1 - specificity, values[:, c])
    found = values.swapaxes(1, 2)
    return dict(
        zip(("auroc", "auprc", "f1_max", "sensitivity"), found[:, 0] if weights is None else found, strict=True)
    )


def auroc(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the area under the ROC curve of each class, ``[C]`` or ``[K, C]``.

    It is the Mann-Whitney statistic: the share of (positive, negative) pairs that the score puts in the right
    order, ties counting half.
    """
    return ranking_metrics(targets, scores, weights)["auroc"]


def average_precision(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the average precision (area under the precision-recall curve by steps) of each class; NaN without
    positives.
    """
    return ranking_metrics(targets, scores, weights)["auprc"]


def f1_max(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the highest F1 over all thresholds of each class: optimistic, for the threshold is chosen on the same
    records; NaN without positives.
    """
    return ranking_metrics(targets, scores, weights)["f1_max"]


def sensitivity_at(targets: Targets, scores: Scores, weights: Weights = None, *, specificity: float = 0.9) -> Floats:
    """Return the highest sensitivity of each class among thresholds whose specificity is at least the given one; NaN
    without positives.
    """
    return ranking_metrics(targets, scores, weights, specificity=specificity)["sensitivity"]


def macro_auroc(targets: Targets, scores: Scores) -> float:
    """Return the mean AUROC over the classes that have one; NaN if none has."""
    values = auroc(targets, scores)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def best_f1_thresholds(targets: Targets, scores: Scores) -> Floats:
    """Return the threshold of each class with the highest F1, ``[C]``: a score at or above it is positive.

    A class without positives gets infinity: it is never predicted.
    """
    best = np.full(targets.shape[1], np.inf)
    for c in np.flatnonzero(targets.any(0)):
        order, last = _ranking(scores[:, c])
        true = np.cumsum(targets[order, c])[last]
        called = np.flatnonzero(last) + 1
        best[c] = scores[order[last], c][int(np.argmax(2 * true / (called + true[-1])))]
    return best


def f1_at(targets: Targets, scores: Scores, thresholds: Floats, weights: Weights = None) -> Floats:
    """Return the F1 of each class at given thresholds ``[C]``; NaN where there is nothing to find."""
    predicted = scores >= thresholds
    counts = np.ones((1, len(targets)), np.int64) if weights is None else weights
    true, called, positives = (
        counts @ part.astype(np.float64) for part in (predicted & (targets == 1), predicted, targets)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(positives > 0, 2 * true / (called + positives), np.nan)
    return values[0] if weights is None else values


def calibration(targets: Targets, probabilities: Scores, bins: int = 10) -> dict[str, Any]:
    """Return the reliability curve over all classes, and the expected calibration error.

    Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3, with bins of equal width.

    Returns:
        ``ece``, and by bin ``predicted`` (mean probability), ``observed`` (share of positives) and ``count``; empty
        bins are left out.
    """
    p, y = np.asarray(probabilities, np.float64).ravel(), targets.ravel()
    index = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    filled = count > 0
    predicted, observed = (np.bincount(index, v, minlength=bins)[filled] / count[filled] for v in (p, y))
    share = count[filled] / max(1, len(p))
    return {
        "ece": float((share * np.abs(predicted - observed)).sum()),
        "predicted": predicted.tolist(),
        "observed": observed.tolist(),
        "count": count[filled].tolist(),
    }


def _ranking(scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of descending scores, and by rank whether the next score is another one."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    return order, np.append(ranked[1:] != ranked[:-1], True)
