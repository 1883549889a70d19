"""Folders of the PhysioNet/CinC Challenges: labels in WFDB headers, outputs of a program, and the weights of the score.

A header holds ``#Dx: CODE,CODE`` (or ``# Dx:`` in newer files); `ecgkit.evaluation.scores.challenge.outputs` reads the
outputs.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import ResultsError, TaskError
from ecgkit.evaluation.scores.challenge.outputs import OutputReader, read_small_file
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.task import Task

HEADER, OUTPUT = ".hea", ".csv"
DIAGNOSES = re.compile(rb"^#[ \t]*Dx:[ \t]*([^\r\n]*)", re.MULTILINE)

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Answers:
    """Labels and outputs of R recordings for the classes of a task.

    Args:
        names: Names of the recordings.
        targets: Labels, int8 ``[R, C]``.
        predictions: Decisions, bool ``[R, C]``.
        probabilities: Probabilities, ``[R, C]``.
        warnings: Deviations from the file format.
    """

    names: tuple[str, ...]
    targets: NDArray[np.int8]
    predictions: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    warnings: tuple[str, ...]


def read_answers(
    labels: Path, outputs: Path, task: Task, *, lenient: bool = False, progress: Progress | None = None
) -> Answers:
    """Read the labels in every header, and the output file of the same name.

    Args:
        labels: Folder of headers.
        outputs: Folder of CSV files.
        task: The task with the classes. Equivalent codes are merged: labels and decisions by OR, probabilities by their
            mean.
        lenient: Count a malformed output as all negative instead of raising an error.
        progress: Called with the stage, files done and files in total.

    Raises:
        ResultsError: A folder holds no such file, an output is missing, or one is malformed.
    """
    watch = progress or (lambda stage, done, total: None)
    names = _names(labels, HEADER)
    missing = sorted(set(names) - set(_names(outputs, OUTPUT)))
    if missing:
        raise ResultsError(
            f"{outputs} lacks {len(missing)} outputs, such as {missing[0]}{OUTPUT}; each header needs one"
        )
    codes = [_codes(path) for path in _watched(labels, names, HEADER, "labels", watch)]
    reader = OutputReader(task, lenient)
    rows = [reader.read(path) for path in _watched(outputs, names, OUTPUT, "outputs", watch)]
    targets = label_matrix(codes, task)
    predictions = np.array([row[0] for row in rows], bool)
    probabilities = np.array([row[1] for row in rows], np.float64)
    warnings = (*_unscored(codes, targets, task), *reader.odd.warnings())
    return Answers(tuple(names), targets, predictions, probabilities, warnings)


def read_weights(path: Path, task: Task) -> NDArray[np.float64]:
    """Read the Challenge's ``weights.csv`` and return the weights of a task's classes, ``[C, C]``.

    Columns of equivalent codes are one column (``a|b``) or several, which must then be equal.

    Raises:
        TaskError: The file is not such a table, lacks a code of the task, or weights equivalent codes differently.
    """
    expected = "the weights.csv of the task's Challenge: codes as first row and first column, numbers between"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
        columns = [tuple(cell.strip().split("|")) for cell in rows[0][1:]]
        named = [tuple(row[0].strip().split("|")) for row in rows[1:]]
        matrix = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    except (OSError, UnicodeDecodeError, ValueError, IndexError, csv.Error) as error:
        raise TaskError(f"{path} cannot be read ({str(error)[:80]})", expected) from None
    if named != columns or matrix.shape != (len(columns), len(columns)) or not np.isfinite(matrix).all():
        raise TaskError(f"{path} has {len(named)} rows and {len(columns)} columns that do not match", expected)
    place = {code: i for i, cell in enumerate(columns) for code in cell}
    absent = [code for label in task.labels.values() for code in label.codes if code not in place]
    if absent:
        raise TaskError(f"{path} has no weights of code {absent[0]}", expected)
    order = [place[label.codes[0]] for label in task.labels.values()]
    for label in task.labels.values():
        for code in label.codes[1:]:
            i, j = place[label.codes[0]], place[code]
            if (matrix[i] != matrix[j]).any() or (matrix[:, i] != matrix[:, j]).any():
                raise TaskError(f"{path} has other weights for {label.codes[0]} than for {code}", "equal ones")
    return matrix[np.ix_(order, order)]


def _names(folder: Path, suffix: str) -> list[str]:
    if not folder.is_dir():
        raise ResultsError(f"{folder} is no folder; give a folder of {suffix} files")
    with os.scandir(folder) as entries:
        names = [e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix) and not e.name.startswith(".")]
    if not names:
        raise ResultsError(f"{folder} holds no {suffix} file; each recording needs one")
    return sorted(names)


def _watched(folder: Path, names: Sequence[str], suffix: str, stage: str, watch: Progress) -> Iterable[str]:
    for i, name in enumerate(names):
        yield os.path.join(folder, name + suffix)
        if i % 500 == 499 or i + 1 == len(names):
            watch(stage, i + 1, len(names))


def _codes(path: str) -> list[str]:
    found = DIAGNOSES.search(read_small_file(path))
    return [code.strip() for code in found[1].decode("ascii", "replace").split(",") if code.strip()] if found else []


def _unscored(codes: list[list[str]], targets: NDArray[np.int8], task: Task) -> list[str]:
    known = {code for label in task.labels.values() for code in label.codes}
    others = Counter(code for record in codes for code in record if code not in known)
    none = int((~targets.any(axis=1)).sum())
    warnings = []
    if none:
        warnings.append(f"{none} of {len(codes)} recordings have no scored label")
    if others:
        warnings.append(f"{others.total()} labels of {len(others)} codes are not among the scored ones")
    return warnings
