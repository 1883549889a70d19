"""Reads the output of a program for one recording of a PhysioNet/CinC Challenge.

An output holds a decision and a probability per class. It is a CSV file named after its recording:
``#<recording>``, a row of codes, a row of 0 and 1, a row of probabilities. Blank lines and comments are ignored.
"""

import math
import os
from dataclasses import dataclass

from ecgkit.errors import ResultsError
from ecgkit.tasks.task import Task

TRUE = {b"1", b"True", b"true", b"T", b"t"}
PLAIN = {b"0": False, b"1": True}  # how nearly every file writes a decision


@dataclass
class Oddities:
    """Counts how often outputs deviated from the format.

    Args:
        numeric: Number of decisions written as another number equal to 1, such as ``1.0``.
        malformed: Number of malformed outputs.
        absent: Number of classes without a column in an output.
    """

    numeric: int = 0
    malformed: int = 0
    absent: int = 0

    def warnings(self) -> list[str]:
        """Return one warning for each kind of deviation that occurred."""
        found = (
            (self.numeric, "decisions are other numbers equal to 1, which the program of 2020 counted as 0"),
            (self.malformed, "malformed outputs count as all negative"),
            (self.absent, "times an output has no column of a class, which counts as negative"),
        )
        return [f"{count} {text}" for count, text in found if count]


def read_small_file(path: str) -> bytes:
    """Read a small file, with two system calls fewer than `open`.

    Raises:
        ResultsError: The file cannot be read.
    """
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror})") from None
    try:
        data = block = os.read(file, 1 << 16)
        while len(block) == 1 << 16:
            block = os.read(file, 1 << 16)
            data += block
    finally:
        os.close(file)
    return data


class OutputReader:
    """Reads output files. The mapping from columns to classes is computed once per distinct row of codes.

    Args:
        task: The task with the classes.
        lenient: Count a malformed output as all negative instead of raising an error.
    """

    def __init__(self, task: Task, lenient: bool) -> None:
        self.classes = [label.codes for label in task.labels.values()]
        self.lenient = lenient
        self.odd = Oddities()
        self.layouts: dict[bytes, list[list[int]]] = {}

    def read(self, path: str) -> tuple[list[bool], list[float]]:
        """Read a file; return the decision and the probability of each class.

        Raises:
            ResultsError: The file is malformed, and `lenient` is off.
        """
        lines = [
            line for line in read_small_file(path).splitlines() if line.strip() and not line.lstrip().startswith(b"#")
        ]
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
        """Return the columns of each class. A column may name several equivalent codes, as ``a|b``."""
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
                f"{path} has {found}",
                "a row of codes, a row of decisions and a row of probabilities of the same length",
                "Correct it, or count malformed outputs as all negative with --lenient.",
            )
        self.odd.malformed += 1
        return [False] * len(self.classes), [0.0] * len(self.classes)


def _number(cell: bytes) -> float:
    try:
        return float(cell)
    except ValueError:
        return 0.0
