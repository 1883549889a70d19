"""AUROC of a model by lead set and task.

The page and the PNG of ``ecgkit probe --leads`` show the same heat map. Its lines are lead sets, the most leads first.
Its columns are tasks and shares of the training set. If there is only one such column, each class gets a column too,
which shows the classes that suffer from missing leads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.averages import Average, Interval, Result, average_over_seeds, seed_of
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import leads_or_all, task_and_share
from ecgkit.reporting.elements.section import HeatMap
from ecgkit.wording import DASH, interval, percent

CHANCE, BEST = 0.5, 1.0  # ends of the colour scale

Score = tuple[float | None, Interval]
Column = tuple[str, str]  # task and share, and a class or nothing for the macro mean


@dataclass(frozen=True)
class LeadSummary:
    """The macro AUROC of a task on one lead set, or over random lead sets of one size.

    Args:
        task: Name of the task, with the share of the training set.
        leads: Name of the lead set, or of random sets of one size.
        sets: Number of lead sets in the mean.
        value: Macro AUROC, the mean over the lead sets.
        bounds: The 95 % interval for one set; the lowest and the highest value for several.
    """

    task: str
    leads: str
    sets: int
    value: float | None
    bounds: Interval

    @property
    def text(self) -> str:
        """The number in per cent with its interval, or with the range over several sets."""
        ends = f"{'range ' if self.sets > 1 else ''}{interval(self.bounds)}"
        return percent(self.value) if self.value is None else f"{percent(self.value)} ({ends})"


def summarise_leads(rows: Sequence[ResultRow], groups: Sequence[str]) -> list[LeadSummary]:
    """Return one summary per task and group of lead sets, in that order.

    Args:
        rows: Results.
        groups: The group of each result: its lead set, or random lead sets of one size.
    """
    members: dict[tuple[str, str], list[ResultRow]] = {}
    for row, group in zip(rows, groups, strict=True):
        members.setdefault((task_and_share(row), group), []).append(row)
    return [_summary(task, group, found) for (task, group), found in members.items()]


def _summary(task: str, group: str, rows: Sequence[ResultRow]) -> LeadSummary:
    values = [row.macro_auroc for row in rows if row.macro_auroc is not None]
    if len(rows) == 1 or not values:
        return LeadSummary(task, group, len(rows), rows[0].macro_auroc, rows[0].macro_interval)
    return LeadSummary(task, group, len(rows), sum(values) / len(values), (min(values), max(values)))


def lead_map(rows: Sequence[ResultRow]) -> HeatMap:
    """Arrange the results of one model as a heat map. A cell with several seeds holds their mean with its spread."""
    ordered = sorted(rows, key=lambda row: -len(row.leads))  # a stable sort, so that ties keep the order of the rows
    columns: dict[Column, None] = {(task_and_share(row), ""): None for row in rows}
    if len(columns) == 1:
        columns |= {column: None for row in rows for column, _ in _scores(row)}
    macro = ", macro" if any(label for _, label in columns) else ""
    lines = tuple(dict.fromkeys(leads_or_all(row) for row in ordered))
    cells: dict[tuple[str, Column], list[Result]] = {}
    for row in rows:
        for column, score in _scores(row):
            cells.setdefault((leads_or_all(row), column), []).append((seed_of(row), *score))
    found = [[cells.get((line, column), []) for column in columns] for line in lines]
    return HeatMap(
        corner="leads",
        lines=lines,
        columns=tuple(label or f"{task}{macro}" for task, label in columns),
        values=tuple(tuple(average_over_seeds(cell).value for cell in line) for line in found),
        texts=tuple(tuple(_text(average_over_seeds(cell), len(cell)) for cell in line) for line in found),
        low=CHANCE,
        high=BEST,
    )


def _scores(row: ResultRow) -> Iterator[tuple[Column, Score]]:
    task = task_and_share(row)
    yield (task, ""), (row.macro_auroc, row.macro_interval)
    yield from (((task, score.label), (score.auroc, score.interval)) for score in row.classes)


def _text(score: Average, seeds: int) -> str:
    """Return the text of a cell: the number, and below it the spread over seeds or the interval."""
    if score.value is None:
        return DASH if seeds else ""
    below = interval(score.interval) if score.deviation is None else f"± {percent(score.deviation)}"
    return f"{percent(score.value)}\n{below}"
