"""Ranks of models over several tasks, with the test of whether they differ.

Demšar, Statistical comparisons of classifiers over multiple data sets, J. Mach. Learn. Res. 7:1-30, 2006: Friedman's
statistic, and Nemenyi's critical difference (section 3.2.2). The distribution of the statistic is drawn by permuting
the ranks within each task, since its approximations by chi-square and F fail for the few tasks of a report.
"""

import math
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import NDArray

ALPHA = 0.05
DRAWS = 20_000


@dataclass(frozen=True)
class MeanRanks:
    """Mean ranks of k models over N tasks.

    Args:
        ranks: Mean rank of each model, ``[k]``; 1 is the best.
        p: Probability of ranks that differ this much if all models are alike.
        critical: Two mean ranks that differ by less cannot be told apart at 5 %.
    """

    ranks: NDArray[np.float64]
    p: float
    critical: float

    @property
    def groups(self) -> list[tuple[float, float]]:
        """Best and worst mean rank of each largest set of two or more models that cannot be told apart."""
        ordered = np.sort(self.ranks)
        last = [int(np.searchsorted(ordered, low + self.critical, side="left")) - 1 for low in ordered]
        spans = [(first, end) for first, end in enumerate(last) if end > first and (not first or end > last[first - 1])]
        return [(float(ordered[first]), float(ordered[end])) for first, end in spans]


def mean_ranks(scores: NDArray[np.floating], seed: int = 0) -> MeanRanks:
    """Rank models on each task and average.

    Args:
        scores: ``[N, k]``, higher is better; at least two tasks and two models. Equal scores share their ranks.
        seed: Seed of the permutations.
    """
    tasks, models = scores.shape
    ranks = scipy.stats.rankdata(-scores, axis=1)
    mean = ranks.mean(0)
    rng = np.random.default_rng(seed)
    sums = np.zeros((DRAWS, models))
    for own in ranks:
        sums += rng.permuted(np.tile(own, (DRAWS, 1)), axis=1)
    # Friedman's statistic grows with the sum of the squared mean ranks; 1 is added so that p is never exactly 0.
    reached = ((sums / tasks) ** 2).sum(1) >= (mean**2).sum() - 1e-9
    p = float((reached.sum() + 1) / (DRAWS + 1))
    quantile = float(scipy.stats.studentized_range.ppf(1 - ALPHA, models, np.inf)) / math.sqrt(2)
    return MeanRanks(mean, p, quantile * math.sqrt(models * (models + 1) / (6 * tasks)))
