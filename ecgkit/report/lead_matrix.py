"""Leads x task: which leads a model needs for what, as a table and as a heat map.

A line a lead set; random subsets of one size are also summarised as mean and spread. Columns are runs and tasks, and,
where there is one of each, its classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.evaluation.results import ResultRow
from ecgkit.report.wording import DASH, interval, percent

CHANCE, BEST = 0.5, 1.0  # ends of the colour scale
COLOURS = "viridis"
DARK_BELOW = 0.75  # of the scale; there the text is white
CELL_WIDTH, CELL_HEIGHT, DPI = 1.15, 0.42, 150  # inches
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture looks the same everywhere


@dataclass(frozen=True)
class Summary:
    """One line of the table.

    Args:
        task: Name of the task.
        leads: Name of the lead set, or of random subsets of one size.
        sets: How many sets it stands for.
        value: Macro AUROC, the mean over the sets.
        bounds: Its interval; over several sets the lowest and the highest value.
    """

    task: str
    leads: str
    sets: int
    value: float | None
    bounds: tuple[float, float] | None

    def as_row(self) -> dict[str, str]:
        """Return the line for a table."""
        spread = "range" if self.sets > 1 else "95 %"
        shown = f"{interval(self.bounds)}{' (range)' if spread == 'range' else ''}"
        return {
            "task": self.task, "leads": self.leads, "sets": str(self.sets), "macro AUROC": percent(self.value),
            "95 %": shown,
        }  # fmt: skip


def summarise(rows: Sequence[ResultRow], groups: Sequence[str]) -> list[Summary]:
    """Return a line a task and group of lead sets, in order.

    Args:
        rows: Results.
        groups: What each row's lead set belongs to; every lead alone stays a line of its own.
    """
    members: dict[tuple[str, str], list[ResultRow]] = {}
    for row, group in zip(rows, groups, strict=True):
        name = group if ":" in group else row.lead_set
        members.setdefault((row.task, name), []).append(row)
    return [_summary(task, name, found) for (task, name), found in members.items()]


def _summary(task: str, name: str, rows: Sequence[ResultRow]) -> Summary:
    values = [row.macro_auroc for row in rows if row.macro_auroc is not None]
    if len(rows) == 1 or not values:
        return Summary(task, name, len(rows), rows[0].macro_auroc, rows[0].macro_interval)
    return Summary(task, name, len(rows), float(np.mean(values)), (min(values), max(values)))


@dataclass(frozen=True)
class Matrix:
    """The heat map's content.

    Args:
        lines: Lead sets.
        columns: Runs and tasks, or the classes of one.
        values: ``[lines, columns]``, AUROC, NaN where there is none.
        texts: What stands in each cell.
    """

    lines: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    texts: tuple[tuple[str, ...], ...]


def lead_matrix(rows: Sequence[ResultRow]) -> Matrix:
    """Arrange results by lead set, and by run and task."""
    lines = tuple(dict.fromkeys(row.lead_set or f"all {len(row.leads)}" for row in rows))
    several_runs = len({row.run for row in rows}) > 1
    cells: dict[tuple[str, str], tuple[float, str]] = {}
    single = len({(row.run, row.task, row.head) for row in rows}) == 1
    for row in rows:
        line = row.lead_set or f"all {len(row.leads)}"
        column = f"{row.run}\n{row.task}" if several_runs else row.task
        cells[line, f"{column}\nmacro"] = _cell(row.macro_auroc, row.macro_interval)
        for score in row.classes if single else ():
            cells[line, score.label] = _cell(score.auroc, score.interval)
    columns = tuple(dict.fromkeys(column for _, column in cells))
    found = [[cells.get((line, column), (float("nan"), "")) for column in columns] for line in lines]
    values = np.array([[value for value, _ in line] for line in found])
    return Matrix(lines, columns, values, tuple(tuple(text for _, text in line) for line in found))


def _cell(value: float | None, bounds: tuple[float, float] | None) -> tuple[float, str]:
    if value is None:
        return float("nan"), DASH
    return value, f"{percent(value)}\n{interval(bounds)}"


def draw_matrix(rows: Sequence[ResultRow], out: Path) -> None:
    """Draw results as a heat map with intervals.

    Args:
        rows: Results of one or more lead sets.
        out: A PNG file, which appears whole or not at all.
    """
    check_suffix(out, ".png")
    matrix = lead_matrix(rows)
    width, height = CELL_WIDTH * len(matrix.columns) + 1.6, CELL_HEIGHT * len(matrix.lines) + 1.7
    figure = Figure((width, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(matrix.values, cmap=COLOURS, vmin=CHANCE, vmax=BEST, aspect="auto")
    axes.set_xticks(range(len(matrix.columns)), matrix.columns, fontsize=7, family=FONT)
    axes.set_yticks(range(len(matrix.lines)), matrix.lines, fontsize=8, family=FONT)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for line, texts in enumerate(matrix.texts):
        for column, text in enumerate(texts):
            dark = (matrix.values[line, column] - CHANCE) / (BEST - CHANCE) < DARK_BELOW
            axes.text(
                column,
                line,
                text,
                ha="center",
                va="center",
                fontsize=6,
                color="white" if dark else "black",
                family=FONT,
            )
    first = rows[0]
    axes.set_title(f"AUROC x 100 with 95 % intervals, {first.run}: {first.head}", fontsize=9, family=FONT)
    bar = figure.colorbar(image, ax=axes, fraction=0.02)
    bar.ax.tick_params(labelsize=6)
    with atomic_file(out) as staging:
        FigureCanvasAgg(figure).print_figure(str(staging), format="png")
