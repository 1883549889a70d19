"""Metrics of multi-label classification: targets ``[R, C]`` of 0 and 1, scores ``[R, C]``, higher is more positive.

A class without both positives and negatives has no AUROC: it is NaN here, is left out of means, and every caller names
it.
"""

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score


def auroc(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each class, ``[C]``.

    It is the Mann-Whitney statistic: the share of (positive, negative) pairs that the score puts in the right
    order, ties counting half.
    """
    ranks = scipy.stats.rankdata(scores, axis=0)
    positives = targets.sum(axis=0, dtype=np.float64)
    negatives = len(targets) - positives
    above = (ranks * targets).sum(axis=0) - positives * (positives + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((positives > 0) & (negatives > 0), above / (positives * negatives), np.nan)


def macro_auroc(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """Return the mean AUROC over the classes that have one; NaN if none has."""
    values = auroc(targets, scores)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def average_precision(targets: NDArray[np.integer], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the average precision (area under the precision-recall curve) of each class, NaN without positives."""
    pairs = zip(targets.T, scores.T, strict=True)
    return np.array([average_precision_score(y, s) if y.any() else np.nan for y, s in pairs])
