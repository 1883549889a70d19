"""Scores of the PhysioNet/CinC Challenges on the test records, for tasks that belong to one.

They are computed from the predictions, with thresholds chosen on the validation records, by
`ecgkit.evaluation.scores.challenge`. The Challenge's own score needs the ``weights.csv`` of the Challenge.
"""

import math
from pathlib import Path
from typing import Any

from ecgkit.errors import PluginError
from ecgkit.evaluation.results.predictions import has_predictions
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.challenge.files import read_weights
from ecgkit.evaluation.scores.challenge.score import score_result
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Rows, Section, Table
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.tasks.task import Task

NOTE = (
    "Test records, with one threshold per class, chosen by F1 on the validation records. F2 and G2 are those of the "
    "Challenge of 2020: F-beta and G-beta with beta 2, in which a recording with several labels counts in parts. Their "
    "geometric mean is the square root of F2 times G2. All but the Challenge score are means over classes, times 100."
)
WITHOUT = " The Challenge score itself needs the weights.csv of the Challenge: ecgkit report --weights."
COLUMNS = ("result", "AUROC", "AUPRC", "accuracy", "F1")


def challenge_section(rows: Rows, weights: Path | None = None) -> Section | None:
    """Return one table for each task of a Challenge, or None if there is no such task with predictions.

    Args:
        rows: Rows and their files.
        weights: The Challenge's ``weights.csv``; None leaves out the Challenge score.

    Raises:
        TaskError: The weights lack a class of a task.
        ResultsError: Predictions cannot be read.
    """
    figures = []
    for name in dict.fromkeys(row.task for _, row in rows if row.classes):
        task = _task(name)
        members = [(path, row) for path, row in rows if row.task == name and has_predictions(path)]
        if task is not None and task.challenge is not None and members:
            figures.append(_figure(members, task, name, weights))
    return Section("Challenge scores", tuple(figures), NOTE + ("" if weights else WITHOUT)) if figures else None


def _task(name: str) -> Task | None:
    try:
        return load_task(find_task(name))
    except PluginError:  # a task file or plugin of another machine
        return None


def _figure(members: list[tuple[Path, ResultRow]], task: Task, name: str, weights: Path | None) -> Figure:
    matrix = None if weights is None else read_weights(weights, task)
    beta = None if task.challenge is None else task.challenge.beta
    lines = []
    for (path, _), named in zip(members, result_names([row for _, row in members]), strict=True):
        found = score_result(path.parent, task, name, matrix).scores.macro()
        lines.append((named, *(_hundred(found[key]) for key in ("auroc", "auprc", "accuracy", "f1"))))
        if beta is not None:
            f, g = found["f_beta"], found["g_beta"]
            lines[-1] += (_hundred(f), _hundred(g), _hundred(None if f is None or g is None else math.sqrt(f * g)))
        if matrix is not None:
            lines[-1] += (None if found["challenge"] is None else round(found["challenge"], 3),)
    extra = () if beta is None else (f"F{beta:g}", f"G{beta:g}", f"√(F{beta:g} · G{beta:g})")
    columns = (*COLUMNS, *extra, *(("Challenge score",) if matrix is not None else ()))
    title = f"{members[0][1].task_title}: scores of the Challenge"
    return Figure(title, title, None, Table(columns, tuple(lines)))


def _hundred(value: Any) -> float | None:
    return None if value is None else round(100 * float(value), 2)
