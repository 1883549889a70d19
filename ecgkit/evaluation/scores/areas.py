"""AUROCs with the share of each patient in their error: intervals and tests that know that records belong together.

The error of an AUROC is, to first order, a sum over patients (Obuchowski, Nonparametric analysis of clustered ROC curve
data, Biometrics 53:567-578, 1997; with one record per patient this is DeLong's method, Biometrics 44:837-845, 1988).
Where no patient is known, the recording takes the patient's place; both are called units here.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

from ecgkit.evaluation.scores.bootstrap import LEVEL
from ecgkit.evaluation.scores.metrics import Floats, Scores, Targets

# With fewer units on one side, no method that was tried covers the true AUROC in 95 % of cases whatever its value.
FEWEST_UNITS = 5
# From about this number of units on, the spread of the data decides the width rather than the model of the spread.
_TRUSTED_UNITS = 15


@dataclass(frozen=True)
class Areas:
    """The AUROC of each class, with the share of each unit in its error.

    Args:
        values: ``[C]``; NaN for a class without positives or negatives.
        shares: ``[U, C]``; the sum of squares over the U units is the variance. Zero for a class that has positives or
            negatives in one unit only.
        units: ``[C]``, number of units with positives, or with negatives if these are fewer.
        sides: ``[2, C]``, numbers of units with positives and with negatives.
    """

    values: Floats
    shares: Floats
    units: NDArray[np.int64]
    sides: NDArray[np.int64]

    @property
    def variances(self) -> Floats:
        """``[C]``; NaN for a class with positives or negatives in one unit only."""
        return np.where(self.units > 1, (self.shares**2).sum(0), np.nan)

    @property
    def cautious_shares(self) -> Floats:
        """The shares, larger for classes with few units, whose spread is known poorly: by Student's t over z."""
        t = scipy.stats.t.ppf((1 + LEVEL) / 2, np.maximum(self.units - 1, 1))
        return self.shares * (t / scipy.stats.norm.ppf((1 + LEVEL) / 2))

    @cached_property
    def intervals(self) -> Floats:
        """The interval of each class, ``[C, 2]``; NaN for a class with fewer than `FEWEST_UNITS` units on a side.

        The interval holds the values from which the AUROC is not significantly far, as Newcombe's method 5 (Statist.
        Med. 25:559-573, 2006) does, so it stays within 0 and 1 and does not collapse at an AUROC of 1. With few units
        the variance is that of Newcombe's model at each value. With more, it is scaled to the variance that the units
        show, and Student's t replaces the normal distribution.
        """
        ends = np.full((len(self.values), 2), np.nan)
        variances = self.variances
        for c in np.flatnonzero(self.units >= FEWEST_UNITS):
            ends[c] = _interval(float(self.values[c]), float(variances[c]), self.sides[:, c])
        return ends

    def freedom(self, scored: NDArray[np.bool_]) -> float:
        """Return the degrees of freedom of the variance of the mean over some classes, by Satterthwaite's formula."""
        classes = np.flatnonzero(scored & (self.units > 1))
        variances = self.variances[classes]
        below = (variances**2 / (self.units[classes] - 1)).sum()
        return float(variances.sum() ** 2 / below) if below > 0 else 1.0


def unit_numbers(units: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return units as numbers from 0 on."""
    return np.unique(units, return_inverse=True)[1]


def areas(targets: Targets, scores: Scores, units: NDArray[np.int64]) -> Areas:
    """Return the AUROC of each class with the share of each unit in its error.

    Args:
        targets: ``[R, C]`` of 0 and 1.
        scores: ``[R, C]``.
        units: ``[R]``, the number of each record's unit.
    """
    count = int(units.max()) + 1 if len(units) else 0
    found = Areas(
        np.full(targets.shape[1], np.nan),
        np.zeros((count, targets.shape[1])),
        np.zeros(targets.shape[1], np.int64),
        np.zeros((2, targets.shape[1]), np.int64),
    )
    for c, y in enumerate(targets.T):
        positive = y == 1
        if not positive.any() or positive.all():
            continue
        above, below = _placements(positive, scores[:, c])
        found.values[c] = area = above.mean()
        sides = [(units[positive], above), (units[~positive], below)]
        found.sides[:, c] = [len(np.unique(of)) for of, _ in sides]
        found.units[c] = found.sides[:, c].min()
        if found.units[c] < 2:
            continue
        for (of, placed), side in zip(sides, found.sides[:, c], strict=True):
            sums = np.bincount(of, placed - area, minlength=count)
            found.shares[:, c] += np.sqrt(side / (side - 1)) * sums / len(placed)
    return found


def macro_interval(found: Areas, scored: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the interval of the mean over some classes, on the logit scale; NaN if no class is scored.

    The covariance of classes comes from the units that they share. The variance of each class is at least the one that
    its own interval, or for a class with few units the model of its spread, shows.

    Args:
        found: The AUROCs.
        scored: ``[C]``, the classes of the mean.
    """
    classes = np.flatnonzero(scored & np.isfinite(found.values))
    if not len(classes):
        return (float("nan"), float("nan"))
    z = scipy.stats.norm.ppf((1 + LEVEL) / 2)
    shares = found.shares[:, classes]
    covered = np.array([_interval(float(found.values[c]), np.nan, found.sides[:, c]) for c in classes])
    own = found.intervals[classes]
    widths = np.diff(np.where(np.isfinite(own), own, covered), axis=1)[:, 0]
    least = (widths / (2 * z)) ** 2
    lacking = np.maximum(least - (shares**2).sum(0), 0)
    variance = ((shares.sum(1) ** 2).sum() + lacking.sum()) / len(classes) ** 2
    mean = float(found.values[classes].mean())
    if not 0 < mean < 1:
        return (float(covered[:, 0].mean()), float(covered[:, 1].mean()))
    logit, error = np.log(mean / (1 - mean)), np.sqrt(variance) / (mean * (1 - mean))
    low, high = 1 / (1 + np.exp(-(logit + np.array([-z, z]) * error)))
    return (float(low), float(high))


def _interval(area: float, variance: float, sides: NDArray[np.int64]) -> tuple[float, float]:
    """Return the values of the AUROC from which the one that was found is not significantly far.

    Args:
        area: The AUROC that was found.
        variance: Its variance as the units show it; NaN for that of the model alone.
        sides: Numbers of units with positives and with negatives.
    """
    positives, negatives = sides.tolist()
    fewer = min(positives, negatives)
    z = scipy.stats.norm.ppf((1 + LEVEL) / 2)
    quantile = z**2
    model = _model_variance(area, positives, negatives)
    if np.isfinite(variance) and model > 0 and variance > 0:
        trust, ratio = fewer / (fewer + _TRUSTED_UNITS), variance / model
        t = scipy.stats.t.ppf((1 + LEVEL) / 2, max(1, fewer - 1))
        quantile = (1 - trust) * z**2 * max(1.0, ratio) + trust * t**2 * ratio

    def excess(true: float) -> float:
        return (true - area) ** 2 - quantile * _model_variance(true, positives, negatives)

    edge = 1e-9
    low = 0.0 if area <= edge or excess(edge) <= 0 else scipy.optimize.brentq(excess, edge, min(area, 1 - edge))
    high = (
        1.0 if area >= 1 - edge or excess(1 - edge) <= 0 else scipy.optimize.brentq(excess, max(area, edge), 1 - edge)
    )
    return float(low), float(high)


def _model_variance(area: float, positives: int, negatives: int) -> float:
    """Return the variance of an AUROC in Newcombe's method 5 (2006, section 2): shifted exponential distributions."""
    middle = (positives + negatives) / 2 - 1
    spread = 1 + middle * ((1 - area) / (2 - area) + area / (1 + area))
    return area * (1 - area) * spread / (positives * negatives)


def _placements(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, and for each negative that of positives above it.

    Computed from midranks as Sun and Xu, IEEE Signal Process. Lett. 21:1389-1393 (2014).
    """
    ranks = scipy.stats.rankdata(scores)
    m, n = int(positive.sum()), int((~positive).sum())
    among_positives, among_negatives = (scipy.stats.rankdata(scores[part]) for part in (positive, ~positive))
    return (ranks[positive] - among_positives) / n, 1 - (ranks[~positive] - among_negatives) / m
