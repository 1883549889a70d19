"""From probabilities to decisions: thresholds chosen on validation records, never on test.

Thresholds are those of the grid that the published code of CinC 2020 entries searches, 0, 0.02, .., 0.98, and a
probability above the threshold is positive.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.scores.challenge.formula import f1, macro

GRID = np.arange(50) / 50


def decide(probabilities: NDArray[np.floating], thresholds: NDArray[np.floating] | float) -> NDArray[np.bool_]:
    """Return ``[R, C]``: which probabilities are above the threshold, one for all or one a class ``[C]``."""
    return np.asarray(probabilities > thresholds)


def per_class_thresholds(targets: NDArray[Any], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the lowest threshold of each class, ``[C]``, with the highest F1; 0.5 for a class without positives."""
    scores = np.stack([np.nan_to_num(f1(targets, decide(probabilities, t)), nan=-1.0) for t in GRID])  # (G, C)
    return np.where(np.asarray(targets).any(axis=0), GRID[scores.argmax(axis=0)], 0.5)


def global_threshold(
    targets: NDArray[Any],
    probabilities: NDArray[np.floating],
    score: Callable[[NDArray[Any], NDArray[np.bool_]], float] | None = None,
) -> float:
    """Return the lowest threshold for all classes with the highest score.

    Args:
        targets: ``[R, C]``.
        probabilities: ``[R, C]``.
        score: Of targets and decisions, such as the Challenge score; None for macro F1.
    """
    judge = score or (lambda y, p: macro(f1(y, p)))
    values = [np.nan_to_num(judge(targets, decide(probabilities, t)), nan=-np.inf) for t in GRID]
    return float(GRID[int(np.argmax(values))])
