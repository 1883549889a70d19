"""Decision thresholds, chosen on validation records and never on test records.

A result row takes `best_f1_thresholds`: any score may be the threshold, and a score at or above it is positive. The
PhysioNet/CinC Challenges are scored with thresholds from the grid 0, 0.02, .., 0.98, as in published code of 2020
entries; there a probability must lie above the threshold (`decide`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.scores.metrics import Floats, Scores, Targets, f1, macro_mean, ranking

GRID = np.arange(50) / 50


def best_f1_thresholds(targets: Targets, scores: Scores) -> Floats:
    """Return the threshold of each class: the score that gives the highest F1, ``[C]``.

    A class without positives gets infinity, so it is never predicted.

    Args:
        targets: ``[R, C]`` of validation records.
        scores: ``[R, C]``.
    """
    best = np.full(targets.shape[1], np.inf)
    for c in np.flatnonzero(targets.any(0)):
        order, last = ranking(scores[:, c])
        true = np.cumsum(targets[order, c])[last]
        called = np.flatnonzero(last) + 1
        best[c] = scores[order[last], c][int(np.argmax(2 * true / (called + true[-1])))]
    return best


def decide(probabilities: NDArray[np.floating], thresholds: NDArray[np.floating] | float) -> NDArray[np.bool_]:
    """Return ``[R, C]``, whether each probability is above the threshold; one threshold, or one per class ``[C]``."""
    return np.asarray(probabilities > thresholds)


def grid_f1_thresholds(targets: NDArray[Any], probabilities: NDArray[np.floating]) -> Floats:
    """Return for each class the threshold of the grid with the highest F1, ``[C]``; the lowest wins a tie.

    A class without positives gets 0.5.

    Args:
        targets: ``[R, C]`` of validation records.
        probabilities: ``[R, C]``.
    """
    scores = np.stack([np.nan_to_num(f1(targets, decide(probabilities, t)), nan=-1.0) for t in GRID])  # (G, C)
    return np.where(np.asarray(targets).any(axis=0), GRID[scores.argmax(axis=0)], 0.5)


def common_grid_threshold(
    targets: NDArray[Any],
    probabilities: NDArray[np.floating],
    score: Callable[[NDArray[Any], NDArray[np.bool_]], float] | None = None,
) -> float:
    """Return one threshold for all classes: that of the grid with the highest score; the lowest wins a tie.

    Args:
        targets: ``[R, C]`` of validation records.
        probabilities: ``[R, C]``.
        score: Function of targets and decisions, such as the Challenge score; None for macro F1.
    """
    judge = score or (lambda y, p: macro_mean(f1(y, p)))
    values = [np.nan_to_num(judge(targets, decide(probabilities, t)), nan=-np.inf) for t in GRID]
    return float(GRID[int(np.argmax(values))])
