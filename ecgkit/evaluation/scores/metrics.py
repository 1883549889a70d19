"""Metrics of multi-label classification: targets ``[R, C]`` of 0 and 1, scores ``[R, C]``, higher is more positive.

Most take `weights` ``[K, R]``: how often each record counts in each of K resamples. The result is then ``[K, C]``, the
metric on each resample, and nothing is sorted again.

A class without both positives and negatives has no AUROC. Its value is NaN and is left out of means.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Weights = NDArray[np.integer] | None
Targets = NDArray[np.integer] | NDArray[np.bool_]
Scores = NDArray[np.floating]
RANKING = ("auroc", "auprc", "f1_max", "sensitivity")


def ranking_metrics(
    targets: Targets, scores: Scores, weights: Weights = None, *, specificity: float = 0.9
) -> dict[str, Floats]:
    """Return every metric that depends only on the order of the scores, in one pass per class and resample.

    Args:
        targets: Labels ``[R, C]``.
        scores: Scores ``[R, C]``.
        weights: ``[K, R]``; None counts each record once.
        specificity: Smallest specificity at which the sensitivity is taken.

    Returns:
        Metrics by name, each ``[C]``, or ``[K, C]`` with `weights`:

        - ``auroc``: area under the ROC curve, which is the Mann-Whitney statistic: the share of (positive, negative)
          pairs in the right order; ties count half. NaN without positives or negatives.
        - ``auprc``: average precision, the area under the precision-recall curve by steps. NaN without positives.
        - ``f1_max``: highest F1 over all thresholds. It is optimistic, because the threshold is chosen on the same
          records. NaN without positives.
        - ``sensitivity``: highest sensitivity at the given specificity or more. NaN without positives.
    """
    return dict(zip(RANKING, _along_ranking(targets, scores, weights, len(RANKING), specificity), strict=True))


def auroc(targets: Targets, scores: Scores, weights: Weights = None) -> Floats:
    """Return only the area under the ROC curve of each class, ``[C]`` or ``[K, C]``; see `ranking_metrics`."""
    return _along_ranking(targets, scores, weights, 1)[0]


def _along_ranking(
    targets: Targets, scores: Scores, weights: Weights, metrics: int, specificity: float = 0.9
) -> Floats:
    """Return the first of `RANKING` as ``[metrics, C]`` or ``[metrics, K, C]``."""
    from ecgkit.evaluation.scores import curve_kernel  # numba takes a while to import

    counts = np.ones((1, len(targets))) if weights is None else weights
    counts = np.ascontiguousarray(counts, np.int32)
    values = np.empty((metrics, targets.shape[1], len(counts)))
    positive = np.ascontiguousarray(targets.T == 1)
    for c, (y, s) in enumerate(zip(positive, np.ascontiguousarray(scores.T), strict=True)):
        order, last = ranking(s)
        curve_kernel.curve(order, last, y, counts, 1 - specificity, values[:, c])
    found = values.swapaxes(1, 2)
    return found[:, 0] if weights is None else found


def ranking(scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return an order of descending scores ``[R]``, and for each rank whether the next score differs.

    Equal scores come in any order: every metric here counts them together.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    return order, np.append(ranked[1:] != ranked[:-1], True)


def macro_mean(values: Floats) -> float:
    """Return the mean over the classes that have a value; NaN if none has."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def macro_auroc(targets: Targets, scores: Scores) -> float:
    """Return the mean AUROC over the classes that have one; NaN if none has."""
    return macro_mean(auroc(targets, scores))


def f1(targets: ArrayLike, predicted: ArrayLike) -> Floats:
    """Return ``2 TP / (2 TP + FP + FN)`` of each class, ``[C]``; NaN if no record is positive or predicted.

    Args:
        targets: ``[R, C]`` of 0 and 1.
        predicted: ``[R, C]`` of 0 and 1.
    """
    return _f1(np.asarray(targets) == 1, np.asarray(predicted) == 1, None)[0]


def f1_at(targets: Targets, scores: Scores, thresholds: Floats, weights: Weights = None) -> Floats:
    """Return the F1 of each class at thresholds ``[C]``; a score at or above its threshold is positive.

    Returns:
        ``[C]`` or ``[K, C]``; NaN without positives.
    """
    values, positives = _f1(targets == 1, scores >= thresholds, weights)
    return np.where(positives > 0, values, np.nan)


def _f1(targets: NDArray[np.bool_], predicted: NDArray[np.bool_], weights: Weights) -> tuple[Floats, Floats]:
    """Return F1 and the number of positives, ``[C]`` or ``[K, C]`` each."""
    counts: NDArray[Any] = np.ones((1, len(targets)), np.int64) if weights is None else weights
    true, called, positives = (counts @ of.astype(np.float64) for of in (predicted & targets, predicted, targets))
    with np.errstate(invalid="ignore"):
        values = 2 * true / (called + positives)
    return (values[0], positives[0]) if weights is None else (values, positives)


def calibration(targets: Targets, probabilities: Scores, bins: int = 10) -> dict[str, Any]:
    """Return the reliability curve over all classes, and the expected calibration error.

    Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, equation 3, with bins of equal width.

    Returns:
        ``ece``, and for each bin ``predicted`` (mean probability), ``observed`` (share of positives) and ``count``.
        Empty bins are left out.
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
