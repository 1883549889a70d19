"""The parts of a section of the page: figures as data, each with its numbers and a description for who cannot see it.

A section holds no HTML: the page draws its charts and escapes every text, so a plugin's section looks like ours and can
bring nothing active into the page.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ecgkit.evaluation.results.row import ResultRow

Rows = Sequence[tuple[Path, ResultRow]]


@dataclass(frozen=True)
class Table:
    """Numbers behind a figure, shown below it and offered as CSV.

    Args:
        columns: Headings.
        rows: Cells: texts and numbers, None where there is none.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def csv(self) -> str:
        """Return the table as CSV; numbers with nine digits."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(inert, self.columns))
        writer.writerows([[inert(_digits(cell)) for cell in row] for row in self.rows])
        return out.getvalue()


def inert(value: Any) -> Any:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _digits(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Point:
    """A point of a curve.

    Args:
        x: Along the abscissa.
        y: Along the ordinate; None breaks the curve.
        low: Lower end of its interval.
        high: Upper end.
    """

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A curve.

    Args:
        name: As the legend has it.
        points: In the order of x.
        style: ``solid``; ``dashed``; ``reference`` for a line to compare with, grey and without markers; ``dots`` for
            points that no line joins.
    """

    name: str
    points: tuple[Point, ...]
    style: Literal["solid", "dashed", "reference", "dots"] = "solid"


@dataclass(frozen=True)
class Plot:
    """Curves over a number.

    Args:
        x_label: What the abscissa is, with its unit.
        y_label: What the ordinate is, with its unit.
        series: The curves.
        log_x: Whether the abscissa is logarithmic.
        whole_x: Whether it counts something, so that no tick lies between whole numbers.
        square: Whether both axes have one scale.
    """

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    whole_x: bool = False
    square: bool = False


@dataclass(frozen=True)
class HeatMap:
    """A table of coloured cells.

    Args:
        corner: What the lines are.
        lines: Names of the lines.
        columns: Names of the columns.
        values: By line and column, for the colour; None leaves a cell blank.
        texts: What stands in the cells.
        low: Value of the lightest colour.
        high: Value of the strongest.
        wide: Whether it needs the whole width of the page, as one of many columns does anyway.
    """

    corner: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    low: float
    high: float
    wide: bool = False

    def strength(self, value: float | None) -> int:
        """Return the colour of a value, from 0 to 100."""
        if value is None:
            return 0
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))))


@dataclass(frozen=True)
class Bars:
    """Lengths to compare: (name, value, value as text) each, from 0."""

    bars: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class Picture:
    """A PNG picture.

    Args:
        png: The file's bytes.
        width: In pixels.
        height: In pixels.
    """

    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Figure:
    """A figure of a section.

    Args:
        title: What it shows.
        alt: The same in words, with what there is to see.
        chart: How it is drawn; None for a table alone.
        table: Its numbers.
        note: What a reader must know of it.
    """

    title: str
    alt: str
    chart: Plot | HeatMap | Bars | Picture | None
    table: Table
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: Heading.
        figures: What it shows.
        note: What holds for all of it.
    """

    title: str
    figures: tuple[Figure, ...]
    note: str = ""
