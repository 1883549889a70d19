"""The parts of a page section: figures as data, each with its numbers and a text description for screen readers.

A section holds no HTML. The page draws its charts and escapes every text, so a plugin's section looks like ours and
cannot bring scripts into the page.
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
    """The numbers of a figure, shown below it and offered as CSV.

    Args:
        columns: Headings of the columns.
        rows: Cells of each row: texts, numbers, or None for an empty cell.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def csv(self) -> str:
        """Return the table as CSV; numbers have nine digits."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(inert, self.columns))
        writer.writerows([[inert(_digits(cell)) for cell in row] for row in self.rows])
        return out.getvalue()


def inert(value: Any) -> Any:
    """Return a text that a spreadsheet does not interpret as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _digits(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Point:
    """A point of a curve.

    Args:
        x: Position on the x axis.
        y: Position on the y axis; None breaks the curve.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    x: float
    y: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A curve of a plot.

    Args:
        name: Name in the legend.
        points: Points in ascending order of x.
        style: ``solid``; ``dashed``; ``reference`` for a grey reference line without markers; ``dots`` for
            points without a line.
    """

    name: str
    points: tuple[Point, ...]
    style: Literal["solid", "dashed", "reference", "dots"] = "solid"


@dataclass(frozen=True)
class Plot:
    """A chart of curves over a number.

    Args:
        x_label: Label of the x axis, with the unit.
        y_label: Label of the y axis, with the unit.
        series: The curves.
        log_x: Whether the x axis is logarithmic.
        whole_x: Whether x is a count, so that all ticks are whole numbers.
        square: Whether both axes have the same scale.
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
        corner: Heading of the column with the names of the lines.
        lines: Names of the lines.
        columns: Names of the columns.
        values: Values that set the colours, by line and column; None leaves a cell blank.
        texts: Texts of the cells.
        low: Value of the lightest colour.
        high: Value of the strongest.
        wide: Whether it needs the whole width of the page; a heat map of many columns always gets it.
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
        """Return the strength of a value's colour, from 0 to 100."""
        if value is None:
            return 0
        return round(100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))))


@dataclass(frozen=True)
class Bars:
    """A bar chart from 0; each bar is (name, value, value as text)."""

    bars: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True)
class Ranks:
    """A critical-difference picture: mean ranks on a line, and bars over those that cannot be told apart.

    Args:
        ranks: (name, mean rank), the best first.
        groups: (mean rank of the first, mean rank of the last) of each largest set that cannot be told apart.
        critical: Difference of mean ranks that would be significant.
    """

    ranks: tuple[tuple[str, float], ...]
    groups: tuple[tuple[float, float], ...]
    critical: float


@dataclass(frozen=True)
class Picture:
    """A PNG picture.

    Args:
        png: Bytes of the PNG file.
        width: Width in pixels.
        height: Height in pixels.
    """

    png: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Figure:
    """A figure of a section.

    Args:
        title: Title of the figure.
        alt: Text description of what the figure shows, for screen readers.
        chart: The chart; None for a table only.
        table: Numbers of the figure.
        note: What a reader must know about the figure.
        folded: Whether it is folded away until a reader opens it, as numbers of the literature are.
    """

    title: str
    alt: str
    chart: Plot | HeatMap | Bars | Ranks | Picture | None
    table: Table
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: Heading of the section.
        figures: Figures of the section.
        note: Note on the whole section.
    """

    title: str
    figures: tuple[Figure, ...]
    note: str = ""
