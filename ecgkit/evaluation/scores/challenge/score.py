"""Scores a task of a PhysioNet/CinC Challenge from the Challenge's own files, or from the predictions of a probe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import ConfigError, TaskError
from ecgkit.evaluation.results.predictions import read_predictions
from ecgkit.evaluation.results.row import ROW, load_row
from ecgkit.evaluation.scores.challenge.files import Progress, read_answers
from ecgkit.evaluation.scores.challenge.formula import ChallengeScores, challenge_score, challenge_scores
from ecgkit.evaluation.scores.thresholds import common_grid_threshold, decide, grid_f1_thresholds
from ecgkit.tasks.task import Challenge, Task

Weights = NDArray[np.float64] | None


@dataclass(frozen=True)
class Scored:
    """The outcome of scoring.

    Args:
        recordings: Number of recordings.
        scores: Scores of the recordings.
        thresholds: Threshold of each class, if decisions were made from probabilities here.
        warnings: What a reader must know about the scores.
    """

    recordings: int
    scores: ChallengeScores
    thresholds: dict[str, float] | None
    warnings: tuple[str, ...]


def score_files(
    labels: Path,
    outputs: Path,
    task: Task,
    name: str,
    weights: Weights = None,
    *,
    lenient: bool = False,
    progress: Progress | None = None,
) -> Scored:
    """Score the outputs of a program, one file per recording; see `ecgkit.evaluation.scores.challenge.files`.

    Raises:
        TaskError: The task is no Challenge's.
        ResultsError: A file is missing or malformed.
    """
    rule = _challenge(task, name)
    answers = read_answers(labels, outputs, task, lenient=lenient, progress=progress)
    scores = challenge_scores(
        answers.targets, answers.predictions, answers.probabilities, weights=weights, **_settings(task, rule)
    )
    return Scored(len(answers.names), scores, None, answers.warnings)


def score_result(folder: Path, task: Task, name: str, weights: Weights = None, threshold: str = "per_class") -> Scored:
    """Score the test records of a probe's result, with thresholds chosen on its validation records.

    Args:
        folder: Folder of the result.
        task: The task.
        name: Name of the task; the result must be of the same task.
        weights: Weights of the score; see `ecgkit.evaluation.scores.challenge.formula.challenge_scores`.
        threshold: ``per_class`` chooses by F1. ``global`` chooses by the Challenge score, or by macro F1 without
            `weights`.

    Raises:
        TaskError: The task is no Challenge's, or the result is of another.
        ResultsError: `folder` holds no result.
    """
    rule = _challenge(task, name)
    row = load_row(folder / ROW)
    if row.task != name:
        raise TaskError(f"{folder} is a result of task {row.task}", f"one of {name}")
    val, test = (read_predictions(folder / ROW, part, names=list(task.labels)) for part in ("val", "test"))
    thresholds = choose_thresholds(val.targets, val.predicted, task, rule, weights, threshold)
    decisions = decide(test.predicted, thresholds)
    scores = challenge_scores(test.targets, decisions, test.predicted, weights=weights, **_settings(task, rule))
    named = dict(zip(task.labels, thresholds.tolist(), strict=True))
    return Scored(len(test.records), scores, named, row.warnings)


def choose_thresholds(
    targets: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    task: Task,
    rule: Challenge,
    weights: Weights,
    how: str | Literal["per_class", "global"],
) -> NDArray[np.float64]:
    """Return one threshold per class, ``[C]``, chosen on validation records.

    Raises:
        ConfigError: `how` is unknown.
    """
    if how == "per_class":
        return grid_f1_thresholds(targets, probabilities)
    if how != "global":
        raise ConfigError(f"threshold {how!r}", "per_class or global")
    judge = None
    if weights is not None:
        normal = list(task.labels).index(rule.normal)
        judge = lambda y, p: challenge_score(y, p, weights, normal, undefined=rule.undefined)  # noqa: E731
    return np.full(targets.shape[1], common_grid_threshold(targets, probabilities, judge))


def _challenge(task: Task, name: str) -> Challenge:
    if task.challenge is None:
        raise TaskError(f"task {name} is no Challenge's", "one such as cinc2020")
    return task.challenge


def _settings(task: Task, rule: Challenge) -> dict[str, Any]:
    return {"normal": list(task.labels).index(rule.normal), "beta": rule.beta, "undefined": rule.undefined}
