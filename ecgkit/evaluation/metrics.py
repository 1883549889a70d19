"""Metrics of multi-label classification: targets ``[R, C]`` of 0 and 1, scores ``[R, C]``, higher is more positive.

Each also takes `weights` ``[K, R]``: how often each record counts in each of K resamples. The result is then
``[K, C]``, what the metric would be on each resample, without sorting anything anew.

A class without both positives and negatives has no AUROC: it is NaN here, is left out of means, and every caller names
it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.integer] | None
Targets = NDArray[np.integer]
Scores = NDArray[np.floating]

BLOCK = 4_000_000  # counts that are worked on at once, so that memory stays bounded


def auroc(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the area under the ROC curve of each class, ``[C]`` or ``[K, C]``.

    It is the Mann-Whitney statistic: the share of (positive, negative) pairs that the score puts in the right
    order, ties counting half.
    """
    return _by_class(_auroc, targets, scores, weights)


def average_precision(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the average precision (area under the precision-recall curve by steps) of each class; NaN without
    positives.
    """
    return _by_class(_average_precision, targets, scores, weights)


def f1_max(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return the highest F1 over all thresholds of each class: optimistic, for the threshold is chosen on the same
    records; NaN without positives.
    """
    return _by_class(_f1_max, targets, scores, weights)


def sensitivity_at(targets: Targets, scores: Scores, weights: Weights = None, *, specificity: float = 0.9) -> Floats:
    """Return the highest sensitivity among thresholds whose specificity is at least the given one."""

    def of_class(counts: "_Counts") -> Floats:
        enough = counts.false <= (1 - specificity) * counts.negatives[:, None] + 1e-9
        return np.where(enough, counts.true, 0).max(axis=1) / counts.positives

    return _by_class(of_class, targets, scores, weights)


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
        counts = _Counts.of(targets[:, c], scores[:, c], np.ones((1, len(targets)), np.int64))
        best[c] = counts.thresholds[int(np.argmax(_f1(counts)[0]))]
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


class _Counts:
    """Weighted counts of one class in descending order of score, one column a distinct score.

    Args:
        true: ``[K, U]``, weight of the positives with that score or a higher one.
        false: ``[K, U]``, of the negatives.
        thresholds: ``[U]``, the distinct scores.
    """

    def __init__(self, true: Floats, false: Floats, thresholds: Floats) -> None:
        self.true, self.false, self.thresholds = true, false, thresholds
        self.positives, self.negatives = true[:, -1], false[:, -1]

    @classmethod
    def of(cls, y: Targets, scores: Scores, weights: NDArray[np.integer]) -> "_Counts":
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each group of equal scores
        positive, w = y[order] == 1, weights[:, order]
        true = np.cumsum(np.where(positive, w, 0), axis=1, dtype=np.float64)[:, last]
        every = np.cumsum(w, axis=1, dtype=np.float64)[:, last]
        return cls(true, every - true, ranked[last].astype(np.float64))


def _by_class(metric: Callable[[_Counts], Floats], targets: Targets, scores: Scores, weights: Weights) -> Floats:
    counts = np.ones((1, len(targets)), np.int64) if weights is None else weights
    blocks = np.array_split(counts, -(-counts.size // BLOCK))
    values = np.empty((len(counts), targets.shape[1]))
    for c, (y, s) in enumerate(zip(targets.T, scores.T, strict=True)):
        with np.errstate(invalid="ignore", divide="ignore"):
            values[:, c] = np.concatenate([metric(_Counts.of(y, s, block)) for block in blocks])
    return values[0] if weights is None else values


def _auroc(counts: _Counts) -> Floats:
    # Each negative stands below all positives before its score, and ties with half of those that share it.
    before = np.pad(counts.true, ((0, 0), (1, 0)))
    new = np.diff(counts.false, axis=1, prepend=0)
    above = (new * (before[:, :-1] + before[:, 1:])).sum(axis=1) / 2
    return above / (counts.positives * counts.negatives)


def _average_precision(counts: _Counts) -> Floats:
    called = counts.true + counts.false
    precision = np.divide(counts.true, called, out=np.zeros_like(called), where=called > 0)
    return (np.diff(counts.true, axis=1, prepend=0) * precision).sum(axis=1) / counts.positives


def _f1(counts: _Counts) -> Floats:
    return 2 * counts.true / (counts.true + counts.false + counts.positives[:, None])


def _f1_max(counts: _Counts) -> Floats:
    best = _f1(counts).max(axis=1)
    return np.where(counts.positives > 0, best, np.nan)
