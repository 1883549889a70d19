"""Tests of differences between results: DeLong's test of two AUROCs, and Holm's correction for several tests."""

from collections.abc import Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from ecgkit.evaluation.scores.metrics import Floats


def delong(
    targets: NDArray[np.integer], first: NDArray[np.floating], second: NDArray[np.floating] | None = None
) -> tuple[Floats, Floats]:
    """Return the AUROC of each class, or the difference between two models, with its variance; each is ``[C]``.

    DeLong et al., Comparing the areas under two or more correlated receiver operating characteristic curves,
    Biometrics 44:837-845 (1988), computed from midranks as Sun and Xu, IEEE Signal Process. Lett. 21:1389-1393
    (2014). Records count as independent. NaN for a class without two positives and two negatives.
    """
    areas, variances = np.full((2, targets.shape[1]), np.nan)
    for c, y in enumerate(targets.T):
        positive = y == 1
        if min(positive.sum(), (~positive).sum()) < 2:
            continue
        placed = [_placements(positive, scores[:, c]) for scores in (first, second) if scores is not None]
        above, below = (placed[0][i] - (placed[1][i] if second is not None else 0) for i in (0, 1))
        areas[c] = above.mean()
        variances[c] = above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)
    return areas, variances


def delong_p(difference: Floats, variance: Floats) -> Floats:
    """Return the two-sided p value of DeLong's test; 1 if both models rank all records alike."""
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(variance > 0, np.abs(difference) / np.sqrt(variance), np.where(difference == 0, 0.0, np.inf))
    return np.where(np.isnan(difference), np.nan, 2 * scipy.stats.norm.sf(z))


def holm(p: Sequence[float]) -> Floats:
    """Return p values with Holm's correction for multiple tests (Holm, Scand. J. Stat. 6:65-70, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    steps = values[order] * (len(values) - np.arange(len(values)))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def _placements(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, and for each negative that of positives above it."""
    ranks = scipy.stats.rankdata(scores)
    m, n = int(positive.sum()), int((~positive).sum())
    among_positives, among_negatives = (scipy.stats.rankdata(scores[part]) for part in (positive, ~positive))
    return (ranks[positive] - among_positives) / n, 1 - (ranks[~positive] - among_negatives) / m
