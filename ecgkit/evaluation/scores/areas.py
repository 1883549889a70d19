"""AUROCs with the share of each patient in their error: intervals and tests that know that records belong together.

The error of an AUROC is, to first order, a sum over patients (Obuchowski, Nonparametric analysis of clustered ROC curve
data, Biometrics 53:567-578, 1997; with one record per patient this is DeLong's method, Biometrics 44:837-845, 1988).
Where no patient is known, the recording takes the patient's place; both are called units here.
"""

from collections.abc import Callable
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
# Of the mean over classes. Below it, Student's t says more about the number of freedoms than about the mean.
_LEAST_FREEDOM = 4.0


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
    """Return the interval of the mean over some classes; NaN if no class is scored.

    As for one class, the interval holds the means from which the one that was found is not significantly far. At each
    mean the variance is that of Newcombe's model for classes of these sizes. It is scaled to the variance that the
    units show, which holds the covariance of classes that share units. With few units the scale is at least 1.

    Args:
        found: The AUROCs.
        scored: ``[C]``, the classes of the mean.
    """
    classes = np.flatnonzero(scored & np.isfinite(found.values))
    if not len(classes):
        return (float("nan"), float("nan"))
    sides = found.sides[:, classes]

    def model(values: Floats) -> float:
        each = [_model_variance(float(a), int(m), int(n)) for a, m, n in zip(values, *sides, strict=True)]
        return sum(each) / len(classes) ** 2

    shown = float((found.shares[:, classes].sum(1) ** 2).sum()) / len(classes) ** 2
    expected = model(found.values[classes])
    quantile = scipy.stats.norm.ppf((1 + LEVEL) / 2) ** 2
    if expected > 0:
        freedom = max(found.freedom(scored), _LEAST_FREEDOM)
        quantile = _quantile(shown / expected, float(sides.min(0).mean()), freedom)
    mean = float(found.values[classes].mean())
    return _ends(mean, lambda true: quantile * model(np.full(len(classes), true)))


def _interval(area: float, variance: float, sides: NDArray[np.int64]) -> tuple[float, float]:
    """Return the values of the AUROC from which the one that was found is not significantly far.

    Args:
        area: The AUROC that was found.
        variance: Its variance as the units show it.
        sides: Numbers of units with positives and with negatives.
    """
    positives, negatives = sides.tolist()
    fewer = min(positives, negatives)
    quantile = scipy.stats.norm.ppf((1 + LEVEL) / 2) ** 2
    model = _model_variance(area, positives, negatives)
    if np.isfinite(variance) and model > 0 and variance > 0:
        quantile = _quantile(variance / model, fewer, max(1, fewer - 1))
    return _ends(area, lambda true: quantile * _model_variance(true, positives, negatives))


def _quantile(ratio: float, units: float, freedom: float) -> float:
    """Return the factor of the model's variance within which a squared distance is not significant.

    Args:
        ratio: Variance that the units show over that of the model.
        units: Number of units on the rarer side; the more there are, the more their own spread is trusted.
        freedom: Degrees of freedom of the variance that they show.
    """
    z = scipy.stats.norm.ppf((1 + LEVEL) / 2)
    t = scipy.stats.t.ppf((1 + LEVEL) / 2, freedom)
    trust = units / (units + _TRUSTED_UNITS)
    return float((1 - trust) * z**2 * max(1.0, ratio) + trust * t**2 * ratio)


def _ends(value: float, allowed: Callable[[float], float]) -> tuple[float, float]:
    """Return the lowest and highest truth, within 0 and 1, whose squared distance from a value is the allowed one."""

    def excess(true: float) -> float:
        return (true - value) ** 2 - allowed(true)

    edge = 1e-9
    low = 0.0 if value <= edge or excess(edge) <= 0 else scipy.optimize.brentq(excess, edge, min(value, 1 - edge))
    high = (
        1.0 if value >= 1 - edge or excess(1 - edge) <= 0 else scipy.optimize.brentq(excess, max(value, edge), 1 - edge)
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
