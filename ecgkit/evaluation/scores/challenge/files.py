"""Files of the PhysioNet/CinC Challenges: labels in WFDB headers, outputs of a program, and the weights of the score.

A header holds ``#Dx: CODE,CODE`` (or ``# Dx:``, as newer ones have it). An output is a CSV file of the record's name:
``#<record>``, a row of codes, a row of 0 and 1, a row of probabilities. Blank lines and comments count for nothing.
"""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import ResultsError, TaskError
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.task import Task

HEADER, OUTPUT = ".hea", ".csv"
DIAGNOSES = re.compile(rb"^#[ \t]*Dx:[ \t]*([^\r\n]*)", re.MULTILINE)
TRUE = {b"1", b"True", b"true", b"T", b"t"}
PLAIN = {b"0": False, b"1": True}  # how nearly every file writes a decision

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Answers:
    """Labels and outputs of R recordings on the classes of a task.

    Args:
        names: Of the recordings.
        targets: int8 ``[R, C]``.
        predictions: bool ``[R, C]``.
        probabilities: ``[R, C]``.
        warnings: What was odd about the files.
    """

    names: tuple[str, ...]
    targets: NDArray[np.int8]
    predictions: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    warnings: tuple[str, ...]


@dataclass
class _Oddities:
    numeric: int = 0  # decisions such as 1.0
    malformed: int = 0
    absent: int = 0  # classes that a file has no column for

    def warnings(self) -> list[str]:
        found = {
            f"{self.numeric} decisions are written as other numbers equal to 1; the program of 2020 took them for 0":
                self.numeric,
            f"{self.malformed} malformed outputs count as all negative": self.malformed,
            f"{self.absent} times an output has no column of a class, which counts as negative": self.absent,
        }  # fmt: skip
        return [text for text, count in found.items() if count]


def read_answers(
    labels: Path, outputs: Path, task: Task, *, lenient: bool = False, progress: Progress | None = None
) -> Answers:
    """Read the labels of every header and the output of the same name.

    Args:
        labels: Folder of headers.
        outputs: Folder of CSV files.
        task: The classes; equivalent codes are merged: labels and decisions by OR, probabilities by their mean.
        lenient: Take a malformed output for all negative instead of refusing it.
        progress: Called with the stage, files done and in all.

    Raises:
        ResultsError: A folder holds no such file, an output is missing, or one is malformed.
    """
    watch = progress or (lambda stage, done, total: None)
    names = _names(labels, HEADER)
    missing = sorted(set(names) - set(_names(outputs, OUTPUT)))
    if missing:
        raise ResultsError(
            f"{outputs} lacks {len(missing)} outputs, such as {missing[0]}{OUTPUT}", "one for every header"
        )
    codes = [_codes(path) for path in _watched(labels, names, HEADER, "labels", watch)]
    reader = _Outputs(task, lenient)
    rows = [reader.read(path) for path in _watched(outputs, names, OUTPUT, "outputs", watch)]
    targets = label_matrix(codes, task)
    predictions = np.array([row[0] for row in rows], bool)
    probabilities = np.array([row[1] for row in rows], np.float64)
    warnings = (*_unscored(codes, targets, task), *reader.odd.warnings())
    return Answers(tuple(names), targets, predictions, probabilities, warnings)


def read_weights(path: Path, task: Task) -> NDArray[np.float64]:
    """Return the Challenge's ``weights.csv`` on the classes of a task, ``[C, C]``.

    Columns of equivalent codes are one column (``a|b``) or several, which must then be equal.

    Raises:
        TaskError: It is no such table, lacks a code of the task, or has equivalent codes that differ.
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
        raise ResultsError(f"{folder} is no folder", f"a folder of {suffix} files")
    with os.scandir(folder) as entries:
        names = [e.name.removesuffix(suffix) for e in entries if e.name.endswith(suffix) and not e.name.startswith(".")]
    if not names:
        raise ResultsError(f"{folder} holds no {suffix} file", "one for every recording")
    return sorted(names)


def _watched(folder: Path, names: Sequence[str], suffix: str, stage: str, watch: Progress) -> Iterable[str]:
    for i, name in enumerate(names):
        yield os.path.join(folder, name + suffix)
        if i % 500 == 499 or i + 1 == len(names):
            watch(stage, i + 1, len(names))


def _read(path: str) -> bytes:
    """Read a small file; two calls of the system fewer than `open`."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror})", "a file of the Challenge") from None
    try:
        data = block = os.read(file, 1 << 16)
        while len(block) == 1 << 16:
            block = os.read(file, 1 << 16)
            data += block
    finally:
        os.close(file)
    return data


def _codes(path: str) -> list[str]:
    found = DIAGNOSES.search(_read(path))
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


class _Outputs:
    """Reads output files; how the columns of a row of codes fall on the classes is worked out once a kind of file."""

    def __init__(self, task: Task, lenient: bool) -> None:
        self.classes = [label.codes for label in task.labels.values()]
        self.lenient = lenient
        self.odd = _Oddities()
        self.layouts: dict[bytes, list[list[int]]] = {}

    def read(self, path: str) -> tuple[list[bool], list[float]]:
        """Return decisions and probabilities by class."""
        lines = [line for line in _read(path).splitlines() if line.strip() and not line.lstrip().startswith(b"#")]
        if len(lines) < 3:
            return self._malformed(path, f"{len(lines)} rows")
        layout = self.layouts.get(lines[0]) or self._layout(lines[0])
        decisions, numbers = lines[1].split(b","), lines[2].split(b",")
        width = lines[0].count(b",") + 1
        if len(decisions) != width or len(numbers) != width:
            return self._malformed(path, f"{width} codes, {len(decisions)} decisions and {len(numbers)} probabilities")
        binary = [PLAIN[cell] if cell in PLAIN else self._true(cell) for cell in decisions]
        try:
            scalar = list(map(float, numbers))
        except ValueError:
            scalar = [_number(cell) for cell in numbers]
        self.odd.absent += layout.count([])
        merged = [sum(scalar[i] for i in of) / len(of) if of else 0.0 for of in layout]
        return [any(binary[i] for i in of) for of in layout], [0.0 if math.isnan(p) else p for p in merged]

    def _layout(self, line: bytes) -> list[list[int]]:
        """Return the columns of each class; a column may name several equivalent codes, as ``a|b``."""
        columns = [set(cell.strip().split("|")) for cell in line.decode("utf-8", "replace").split(",")]
        layout = [[i for i, names in enumerate(columns) if names & set(codes)] for codes in self.classes]
        self.layouts[line] = layout
        return layout

    def _true(self, cell: bytes) -> bool:
        text = cell.strip()
        if text in TRUE:
            return True
        if _number(text) == 1:
            self.odd.numeric += 1
            return True
        return False

    def _malformed(self, path: str, found: str) -> tuple[list[bool], list[float]]:
        if not self.lenient:
            raise ResultsError(
                f"{path} has {found}", "a row of codes, one of decisions and one of probabilities, equally long",
                "Mend it, or take such outputs for all negative with --lenient.",
            )  # fmt: skip
        self.odd.malformed += 1
        return [False] * len(self.classes), [0.0] * len(self.classes)


def _number(cell: bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0
