"""The summary table in the literature's layout: models against tasks.

A line is a model with its head and leads; runs that differ only in their seed are one model. A column is a task and a
share of its training records. A cell is the macro AUROC: one result with its interval, or the mean over several seeds
with its standard deviation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ecgkit.evaluation.results.averages import Average, average_auroc, model_names
from ecgkit.evaluation.results.predictions import has_predictions
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.comparison import Comparison, comparable, compare_aurocs
from ecgkit.reporting.elements.section import Rows

Line = tuple[str, str, str, str]  # model, weights, head, leads
Column = tuple[str, str]  # task, share of the training part


@dataclass(frozen=True)
class Cell:
    """One model on one task.

    Args:
        auroc: Macro AUROC over seeds.
        seeds: Number of results in the average.
        best: Whether it is the highest of its column. False in a column with one result, or with results that cannot be
            compared.
        comparison: Comparison with the best of its column, if both have predictions of the same records.
    """

    auroc: Average
    seeds: int
    best: bool = False
    comparison: Comparison | None = None

    @property
    def mark(self) -> str:
        """A dagger if the best of the column is not significantly better than this cell."""
        return "†" if self.comparison is not None and not self.comparison.distinguishable else ""


@dataclass(frozen=True)
class SummaryTable:
    """The summary table.

    Args:
        lines: Models, in the order of the rows.
        columns: Tasks and shares of the training set.
        cells: Cells by line and column; absent if there is no result.
        comparisons: Comparisons with the best of a column, by the path of the ``row.json``.
        members: Paths of the results that each cell averages.
    """

    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    cells: Mapping[tuple[Line, Column], Cell]
    comparisons: Mapping[Path, Comparison]
    members: Mapping[tuple[Line, Column], tuple[Path, ...]]


def summary_table(
    rows: Rows, *, tests: bool = True, progress: Callable[[int, int], None] = lambda done, total: None
) -> SummaryTable:
    """Arrange results by model and task.

    Args:
        rows: Rows and their files. Regressions have their own tables, see `ecgkit.reporting.tables.regression`.
        tests: Whether to test each single result against the best of its column, if all results of the column have
            predictions.
        progress: Called with columns done and columns in total.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    groups: dict[tuple[Line, Column], list[tuple[Path, ResultRow]]] = {}
    names = model_names([row for _, row in rows])
    for (path, row), name in zip(rows, names, strict=True):
        if not row.targets:
            groups.setdefault((line_of(row, name), column_of(row)), []).append((path, row))
    lines = tuple(dict.fromkeys(line for line, _ in groups))
    columns = tuple(dict.fromkeys(column for _, column in groups))
    cells: dict[tuple[Line, Column], Cell] = {}
    comparisons: dict[Path, Comparison] = {}
    for done, column in enumerate(columns, 1):
        there = {line: groups[line, column] for line in lines if (line, column) in groups}
        own, found = _column(there, tests)
        cells |= {(line, column): cell for line, cell in own.items()}
        comparisons |= found
        progress(done, len(columns))
    members = {place: tuple(path for path, _ in group) for place, group in groups.items()}
    return SummaryTable(lines, columns, cells, comparisons, members)


def line_of(row: ResultRow, model: str) -> Line:
    """Return the key of a result's line: model, weights, head and leads."""
    leads = row.lead_set or ("12" if len(row.leads) == 12 else " ".join(row.leads))
    return model, row.weights, row.head, leads


def column_of(row: ResultRow) -> Column:
    """Return the key of a result's column: task and share of the training set."""
    return row.task, f"{100 * row.fraction:g} %" if row.label_count is None else f"{row.label_count:,} labels"


def same_test(rows: Sequence[ResultRow]) -> bool:
    """Return whether results were scored on the same test records and classes, as far as rows state it."""
    counts = {
        (*sorted(row.counts.get("test", {}).items()), *((c.label, c.positives, c.negatives) for c in row.classes))
        for row in rows
    }
    return len(counts) <= 1 and comparable(rows)


def _column(
    members: Mapping[Line, Sequence[tuple[Path, ResultRow]]], tests: bool
) -> tuple[dict[Line, Cell], dict[Path, Comparison]]:
    cells = {line: _cell([row for _, row in group]) for line, group in members.items()}
    scored = {line: cell.auroc.value for line, cell in cells.items() if cell.auroc.value is not None}
    if len(scored) < 2 or not same_test([row for group in members.values() for _, row in group]):
        return cells, {}
    best = max(scored, key=lambda line: scored[line])
    files = {line: group[0][0] for line, group in members.items()}
    found: dict[Path, Comparison] = {}
    if tests and all(cells[line].auroc.deviation is None and has_predictions(file) for line, file in files.items()):
        found = compare_aurocs(files[best], [files[line] for line in scored if line != best])
    marked = {line: replace(cell, best=line == best, comparison=found.get(files[line])) for line, cell in cells.items()}
    return marked, found


def _cell(rows: Sequence[ResultRow]) -> Cell:
    average = average_auroc(rows)
    return Cell(average, average.seeds)
