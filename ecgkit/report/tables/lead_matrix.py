"""Which leads a model needs for what: AUROC by lead set and task as a heat map, and one line a lead set as a table.

The heat map is the same in the report's page and as the PNG beside the results of `ecgkit probe --leads`. Its lines are
lead sets, the most leads first; its columns are tasks and shares of the training part, and where there is only one of
these also its classes: which leads are missed, not only how many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.report.elements.labels import lead_label, share_label
from ecgkit.report.elements.section import HeatMap
from ecgkit.wording import DASH, interval, is_number, percent

CHANCE, BEST = 0.5, 1.0  # ends of the colour scale
COLOURS = "viridis"
DARK_BELOW = 0.75  # of the scale; there the text is white
CELL_WIDTH, CELL_HEIGHT, NARROWEST, DPI = 1.15, 0.42, 4.6, 150  # inches
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture looks the same everywhere

Score = tuple[float | None, tuple[float, float] | None]  # a value and its interval
Column = tuple[str, str]  # task and share, and a class or nothing for the macro mean


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
        groups: In which line each stands: its lead set, or random subsets of one size.
    """
    members: dict[tuple[str, str], list[ResultRow]] = {}
    for row, name in zip(rows, groups, strict=True):
        members.setdefault((row.task, name), []).append(row)
    return [_summary(task, name, found) for (task, name), found in members.items()]


def _summary(task: str, name: str, rows: Sequence[ResultRow]) -> Summary:
    values = [row.macro_auroc for row in rows if row.macro_auroc is not None]
    if len(rows) == 1 or not values:
        return Summary(task, name, len(rows), rows[0].macro_auroc, rows[0].macro_interval)
    return Summary(task, name, len(rows), float(np.mean(values)), (min(values), max(values)))


def lead_map(rows: Sequence[ResultRow]) -> HeatMap:
    """Arrange the results of one model; a cell of several results holds their mean and says of how many."""
    ordered = sorted(rows, key=lambda row: -len(row.leads))  # stable: in the order of the rows otherwise
    columns: dict[Column, None] = {(task_label(row), ""): None for row in rows}
    if len(columns) == 1:
        columns |= {column: None for row in rows for column, _ in _scores(row)}
    macro = ", macro" if any(label for _, label in columns) else ""
    lines = tuple(dict.fromkeys(leads_label(row) for row in ordered))
    cells: dict[tuple[str, Column], list[Score]] = {}
    for row in rows:
        for column, score in _scores(row):
            cells.setdefault((leads_label(row), column), []).append(score)
    found = [[cells.get((line, column), []) for column in columns] for line in lines]
    return HeatMap(
        corner="leads",
        lines=lines,
        columns=tuple(label or f"{task}{macro}" for task, label in columns),
        values=tuple(tuple(_mean(cell) for cell in line) for line in found),
        texts=tuple(tuple(_text(cell) for cell in line) for line in found),
        low=CHANCE,
        high=BEST,
    )


def leads_label(row: ResultRow) -> str:
    """Name a result's line."""
    return lead_label(row) or f"all {len(row.leads)}"


def task_label(row: ResultRow) -> str:
    """Name a result's column."""
    return ", ".join(part for part in (row.task, share_label(row)) if part)


def _scores(row: ResultRow) -> Iterator[tuple[Column, Score]]:
    task = task_label(row)
    yield (task, ""), (row.macro_auroc, row.macro_interval)
    yield from (((task, score.label), (score.auroc, score.interval)) for score in row.classes)


def _mean(scores: Sequence[Score]) -> float | None:
    values = [value for value, _ in scores if value is not None and is_number(value)]
    return float(np.mean(values)) if values else None


def _text(scores: Sequence[Score]) -> str:
    mean = _mean(scores)
    if mean is None:
        return DASH if scores else ""
    return f"{percent(mean)}\n{interval(scores[0][1]) if len(scores) == 1 else f'of {len(scores)}'}"


def _averaged(heat: HeatMap) -> bool:
    return any("\nof " in text for line in heat.texts for text in line)


def draw_matrix(rows: Sequence[ResultRow], out: Path) -> None:
    """Draw the results of one model as a heat map with intervals.

    Args:
        rows: Results of one or more lead sets.
        out: A PNG file, which appears whole or not at all.
    """
    check_suffix(out, ".png")
    heat = lead_map(rows)
    width, height = max(NARROWEST, CELL_WIDTH * len(heat.columns) + 1.6), CELL_HEIGHT * len(heat.lines) + 1.7
    figure = Figure((width, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    values = np.array([[np.nan if value is None else value for value in line] for line in heat.values])
    image = axes.imshow(values, cmap=COLOURS, vmin=heat.low, vmax=heat.high, aspect="auto")
    axes.set_xticks(range(len(heat.columns)), heat.columns, fontsize=7, family=FONT)
    axes.set_yticks(range(len(heat.lines)), heat.lines, fontsize=8, family=FONT)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (line, column), value in np.ndenumerate(values):
        dark = (value - heat.low) / (heat.high - heat.low) < DARK_BELOW
        axes.text(
            column, line, heat.texts[line][column], ha="center", va="center", fontsize=6, family=FONT,
            color="white" if dark else "black",
        )  # fmt: skip
    below = "95 % interval" + (", or of how many results it is the mean" if _averaged(heat) else "")
    figure.suptitle(f"{rows[0].run}: {rows[0].head}\nAUROC x 100; below it the {below}", fontsize=8, family=FONT)
    figure.colorbar(image, ax=axes, fraction=0.02).ax.tick_params(labelsize=6)
    with atomic_file(out) as staging:
        FigureCanvasAgg(figure).print_figure(str(staging), format="png")
