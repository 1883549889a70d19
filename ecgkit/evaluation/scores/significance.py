"""Tests of differences between results on the same test records.

The error of a score is, to first order, a sum over patients: each adds its share. The difference of two scores on the
same patients has the difference of the shares as its error, so the tests are paired and know which records belong
together. Where no patient is known, the recording takes the patient's place.
"""

from collections.abc import Sequence

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from ecgkit.evaluation.scores.areas import Areas
from ecgkit.evaluation.scores.bootstrap import LEVEL, Difference
from ecgkit.evaluation.scores.metrics import Floats

DRAWS = 2000
_VALUES_AT_ONCE = 8_000_000


def differences_from(
    best: int, values: Sequence[float], shares: Floats, freedom: float, seed: int = 0
) -> list[Difference]:
    """Compare the best of k results with each of them. The p values hold for all pairs together.

    The best is known only after all were measured. Among k equal results, the best and the worst differ more than two
    that were chosen beforehand, so each p is the probability that the most different of all pairs of k equal results
    differs at least as much (Tukey's test, with the covariance of the results themselves; Hothorn et al., Simultaneous
    inference in general parametric models, Biom. J. 50:346-363, 2008). The distribution of that largest difference is
    drawn with random numbers.

    Args:
        best: Index of the best result.
        values: Score of each of k results.
        shares: ``[k, U]``, share of each unit in the error of each result.
        freedom: Degrees of freedom of the standard errors; Student's t replaces the normal distribution.
        seed: Seed of the draws.

    Returns:
        k differences, the score of the best minus each score. The intervals hold one by one.
    """
    shares = np.asarray(shares, np.float64)
    errors = _errors_of_pairs(shares)
    t = scipy.stats.t.ppf((1 + LEVEL) / 2, freedom)
    largest = _largest_of_pairs(shares, errors, freedom, seed)
    found = []
    for other, value in enumerate(values):
        difference, error = values[best] - value, errors[best, other]
        p = 1.0
        if difference != 0:
            far = abs(difference) / error if error > 0 else np.inf
            # One is added to both counts, so that p is never exactly 0.
            p = float(((largest >= far).sum() + 1) / (len(largest) + 1))
        found.append(Difference(difference, (difference - t * error, difference + t * error), p))
    return found


def _errors_of_pairs(shares: Floats) -> Floats:
    """Return the standard error of each pair's difference, ``[k, k]``; 0 where two results rank all records alike."""
    products = shares @ shares.T
    own = np.diag(products)
    squared = own[:, None] + own[None] - 2 * products
    return np.sqrt(np.where(squared > 1e-12 * (own[:, None] + own[None]), squared, 0.0))


def _largest_of_pairs(shares: Floats, errors: Floats, freedom: float, seed: int) -> Floats:
    """Draw the largest of all pairs' differences, in standard errors, as it is among equal results."""
    count, units = shares.shape
    first, second = np.triu_indices(count, 1)
    there = errors[first, second] > 0
    first, second = first[there], second[there]
    if not len(first):
        return np.zeros(DRAWS)
    rng = np.random.default_rng(seed)
    at_once = max(1, min(DRAWS, _VALUES_AT_ONCE // max(len(first), units)))
    drawn = []
    for start in range(0, DRAWS, at_once):
        noise = rng.normal(size=(min(at_once, DRAWS - start), units)) @ shares.T
        drawn.append((np.abs(noise[:, first] - noise[:, second]) / errors[first, second]).max(1))
    # The standard errors are estimates themselves: multivariate t instead of the normal distribution.
    return np.concatenate(drawn) / np.sqrt(rng.chisquare(freedom, DRAWS) / freedom)


def class_tests(first: Areas, second: Areas) -> tuple[Floats, Floats]:
    """Compare two models class by class on the same records; DeLong's test, with patients as the independent units.

    DeLong et al., Biometrics 44:837-845 (1988); for records that belong together Obuchowski, Biometrics 53:567-578
    (1997). Student's t with one degree of freedom less than the class has units on its rarer side replaces the normal
    distribution.

    Returns:
        Differences of the AUROC, first minus second, and two-sided p values, each ``[C]``; NaN for a class with
        positives or negatives in one unit only. p is 1 if both models rank all records alike.
    """
    values = first.values - second.values
    variances = ((first.shares - second.shares) ** 2).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(variances > 1e-15, np.abs(values) / np.sqrt(variances), np.where(values == 0, 0.0, np.inf))
    p = 2 * scipy.stats.t.sf(t, np.maximum(first.units - 1, 1))
    tested = np.isfinite(values) & (first.units > 1)
    return np.where(tested, values, np.nan), np.where(tested, p, np.nan)


def holm(p: Sequence[float] | NDArray[np.float64]) -> Floats:
    """Return p values with Holm's correction for multiple tests (Holm, Scand. J. Stat. 6:65-70, 1979)."""
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    steps = values[order] * (len(values) - np.arange(len(values)))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
