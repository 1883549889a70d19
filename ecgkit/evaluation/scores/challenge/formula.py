"""Scores of the PhysioNet/Computing in Cardiology Challenges of 2020 and 2021.

Perez Alday et al., Physiol. Meas. 41:124003 (2020); Reyna et al., CinC 2021, doi 10.23919/CinC53138.2021.9662687. All
arrays are ``[R, C]`` over recordings and classes, with equivalent classes already merged. Targets and predictions are
0 or 1. 0/0 is NaN, and macro means are taken over the classes that are not NaN.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecgkit.evaluation.scores.metrics import Floats, f1, macro_mean, ranking_metrics


@dataclass(frozen=True)
class ChallengeScores:
    """All scores of a Challenge.

    Args:
        challenge: The Challenge's own score: 1 for the labels themselves, 0 for sinus rhythm everywhere. None if no
            weights were given.
        auroc: AUROC of each class.
        auprc: Average precision of each class.
        accuracy: Share of recordings with every class right.
        f1: F1 of each class.
        f_beta: F-beta of each class; None if the Challenge does not report it.
        g_beta: G-beta of each class; None if the Challenge does not report it.
    """

    challenge: float | None
    auroc: Floats
    auprc: Floats
    accuracy: float
    f1: Floats
    f_beta: Floats | None
    g_beta: Floats | None

    def macro(self) -> dict[str, float | None]:
        """Return one number per score, by the name of the score."""
        means = {
            name: None if values is None else macro_mean(values)
            for name, values in (
                ("auroc", self.auroc),
                ("auprc", self.auprc),
                ("f1", self.f1),
                ("f_beta", self.f_beta),
                ("g_beta", self.g_beta),
            )
        }
        return {"challenge": self.challenge, "accuracy": self.accuracy, **means}


def challenge_scores(
    targets: NDArray[Any],
    predictions: NDArray[Any],
    probabilities: NDArray[np.floating],
    *,
    normal: int,
    weights: Floats | None = None,
    beta: float | None = 2.0,
    undefined: float = 0.0,
) -> ChallengeScores:
    """Return all scores.

    Args:
        targets: Labels ``[R, C]``.
        predictions: Decisions ``[R, C]``.
        probabilities: Probabilities ``[R, C]``.
        normal: The class that stands for "nothing is wrong", sinus rhythm.
        weights: ``[C, C]``, credit for predicting one class when another is true; None leaves out the Challenge score.
        beta: The beta of F-beta and G-beta; None leaves both out.
        undefined: The Challenge score where the labels themselves would earn no more than sinus rhythm everywhere.
    """
    y, p = np.asarray(targets) == 1, np.asarray(predictions) == 1
    areas = ranking_metrics(y, probabilities)
    return ChallengeScores(
        None if weights is None else challenge_score(y, p, weights, normal, undefined=undefined),
        areas["auroc"],
        areas["auprc"],
        exact_match(y, p),
        f1(y, p),
        None if beta is None else f_beta(y, p, beta),
        None if beta is None else g_beta(y, p, beta),
    )


def challenge_score(
    targets: ArrayLike, predictions: ArrayLike, weights: Floats, normal: int, *, undefined: float = 0.0
) -> float:
    """Return the Challenge score; arguments as in `challenge_scores`.

    With ``n_i = max(1, number of classes that are true or predicted)`` and ``S(p) = sum W_jk y_ij p_ik / n_i``, it is
    ``(S(p) - S(sinus)) / (S(y) - S(sinus))``.
    """
    y, p = np.asarray(targets, bool), np.asarray(predictions, bool)
    sinus = np.zeros_like(y)
    sinus[:, normal] = True
    reached, best, nothing = (_credit(y, answer, weights) for answer in (p, y, sinus))
    return (reached - nothing) / (best - nothing) if best != nothing else undefined


def _credit(y: NDArray[np.bool_], p: NDArray[np.bool_], weights: Floats) -> float:
    n = np.maximum(1, (y | p).sum(axis=1, keepdims=True))
    confusion = (y / n).T @ p.astype(np.float64)  # (C true, C predicted)
    return float((weights * confusion).sum())


def f_beta(targets: ArrayLike, predictions: ArrayLike, beta: float) -> Floats:
    """Return ``(1 + b^2) TP / ((1 + b^2) TP + FP + b^2 FN)`` of each class, ``[C]``.

    A recording counts ``1 / max(1, number of its labels)`` in TP, FP and FN.
    """
    true, false, missed = _shared_counts(targets, predictions)
    return _ratio((1 + beta**2) * true, (1 + beta**2) * true + false + beta**2 * missed)


def g_beta(targets: ArrayLike, predictions: ArrayLike, beta: float) -> Floats:
    """Return ``TP / (TP + FP + b FN)`` of each class, ``[C]``, with the counts of `f_beta`."""
    true, false, missed = _shared_counts(targets, predictions)
    return _ratio(true, true + false + beta * missed)


def exact_match(targets: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of recordings with every class right."""
    return float((np.asarray(targets, bool) == np.asarray(predictions, bool)).all(axis=1).mean())


def _shared_counts(targets: ArrayLike, predictions: ArrayLike) -> tuple[Floats, Floats, Floats]:
    y, p = np.asarray(targets, bool), np.asarray(predictions, bool)
    share = 1 / np.maximum(1, y.sum(axis=1))
    true, false, missed = (share @ counted.astype(np.float64) for counted in (y & p, ~y & p, y & ~p))
    return true, false, missed


def _ratio(above: Floats, below: Floats | NDArray[np.integer]) -> Floats:
    values = np.full(above.shape, np.nan)
    np.divide(above, below, out=values, where=below > 0)
    return values
