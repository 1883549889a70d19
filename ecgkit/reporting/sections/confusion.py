"""Confusion between classes: for the test records of each class, how many were predicted as each class.

Records have several labels, so the rows do not sum to one. A record counts in the row of each of its classes, and in
the column of each class with a probability at or above its threshold, which was chosen on the validation set.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.predictions import has_predictions, predictions_of
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, HeatMap, Rows, Section, Table
from ecgkit.wording import is_number

TOP = 12  # classes
NOTE = (
    "Each row shows the test records of one class: the percentage that has, or was predicted to have, the class above. "
    "Records have several classes, so rows need not sum to 100. Predicted: a probability at or above the threshold "
    "from validation. Shown for the result with the highest macro AUROC of each task, and its most frequent classes."
)
COLUMNS = ("class", "other class", "records of the class", "of these with the other", "of these predicted the other")


def confusion_section(rows: Rows) -> Section | None:
    """Return the matrix of each task's best result with stored predictions, or None if there is none."""
    found: list[Figure] = []
    for task in dict.fromkeys(row.task for _, row in rows):
        members = [(path, row) for path, row in rows if row.task == task]
        labels = result_names([row for _, row in members])
        able = [i for i, (path, row) in enumerate(members) if _able(path, row)]
        if able:
            best = max(able, key=lambda i: members[i][1].macro_auroc or 0)
            found += _figures(*members[best], labels[best])
    return Section("Confusion and co-occurrence", tuple(found), NOTE) if found else None


def _able(path: Path, row: ResultRow) -> bool:
    return len(_classes(row)) > 1 and has_predictions(path)


def _classes(row: ResultRow) -> list[ClassScore]:
    """Return the most frequent classes that have a threshold, in the order of the row."""
    able = [score for score in row.classes if is_number(score.threshold) and score.positives]
    often = sorted(able, key=lambda score: -score.positives)[:TOP]
    return [score for score in able if score in often]


def _figures(path: Path, row: ResultRow, label: str) -> list[Figure]:
    classes = _classes(row)
    names = [score.label for score in classes]
    found = predictions_of(path, row).only(names)
    truth = found.targets == 1
    predicted = found.predicted >= np.array([score.threshold for score in classes], float)
    records = truth.sum(0)
    counts = {"predicted": truth.T.astype(int) @ predicted, "present": truth.T.astype(int) @ truth}
    lines = tuple(
        (names[i], names[j], int(records[i]), int(counts["present"][i, j]), int(counts["predicted"][i, j]))
        for i in range(len(names))
        for j in range(len(names))
    )
    titles = {"predicted": "predicted classes of each true class", "present": "classes that occur together"}
    return [
        Figure(
            f"{row.task_title}: {title}, {label}" if kind == "predicted" else f"{row.task_title}: {title}",
            f"Heat map: {title}",
            _heat(names, counts[kind], records),
            Table(COLUMNS, lines),
        )
        for kind, title in titles.items()
    ]


def _heat(names: Sequence[str], counts: NDArray[np.int64], records: NDArray[np.int64]) -> HeatMap:
    shares = counts / np.maximum(records, 1)[:, None]
    values = tuple(tuple(float(share) for share in line) for line in shares)
    texts = tuple(tuple(f"{100 * share:.0f}" for share in line) for line in values)
    lines = tuple(f"{name} ({n:,})" for name, n in zip(names, records, strict=True))
    return HeatMap("class (records)", lines, tuple(names), values, texts, 0.0, 1.0)
