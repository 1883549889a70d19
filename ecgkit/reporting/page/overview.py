"""The summary of the page: a table of models against tasks and shares, and a table of published numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.section import Rows
from ecgkit.reporting.tables.published_numbers import PublishedNumber, disagreements, published_numbers, same_method
from ecgkit.reporting.tables.summary import Cell, Column, Line, SummaryTable
from ecgkit.wording import percent, signed


@dataclass(frozen=True)
class OverviewCell:
    """A measured cell.

    Args:
        cell: The cell.
        results: What it averages: the page number of each result, what tells it from the others, and its number.
    """

    cell: Cell
    results: tuple[tuple[int, str, str], ...]

    @property
    def result(self) -> int:
        """Page number of the first result."""
        return self.results[0][0]


@dataclass(frozen=True)
class PublishedCell:
    """A published number.

    Args:
        text: The number as printed.
        certainty: ``A``, ``B`` or ``C``.
        difference: Measured minus published number, with the name of the run; empty if they cannot be compared.
    """

    text: str
    certainty: str
    difference: str


@dataclass(frozen=True)
class Overview:
    """The summary of the page.

    Args:
        columns: Tasks and shares of the training set.
        tasks: (task, number of its columns), in order.
        lines: Models with their cells.
        literature: (method, head, source) with cells; empty if nothing was published for these columns.
        seeds: Whether a cell averages several results.
        tested: Whether results were tested against the best of their column.
    """

    columns: tuple[Column, ...]
    tasks: tuple[tuple[str, int], ...]
    lines: tuple[tuple[Line, tuple[OverviewCell | None, ...]], ...]
    literature: tuple[tuple[tuple[str, str, str], tuple[PublishedCell | None, ...]], ...]
    seeds: bool
    tested: bool


def overview(rows: Rows, table: SummaryTable) -> Overview:
    """Arrange the summary of some rows in the layout of the literature."""
    seeds = any(cell.seeds > 1 for cell in table.cells.values())
    tested = any(cell.comparison for cell in table.cells.values())
    # Shares of one task stand side by side, whatever the order of the rows.
    tasks = list(dict.fromkeys(task for task, _ in table.columns))
    columns = tuple(column for task in tasks for column in _ascending(table.columns, task))
    spans = tuple((task, sum(column[0] == task for column in columns)) for task in tasks)
    lines = tuple((line, _measured(rows, table, line, columns)) for line in table.lines)
    literature = _literature([row for _, row in rows], columns)
    return Overview(columns, spans, lines, literature, seeds, tested)


def _ascending(columns: Sequence[Column], task: str) -> list[Column]:
    own = [column for column in columns if column[0] == task]
    return sorted(own, key=lambda column: ("%" in column[1], float(column[1].split()[0].replace(",", ""))))


def _measured(
    rows: Rows, table: SummaryTable, line: Line, columns: Sequence[Column]
) -> tuple[OverviewCell | None, ...]:
    numbered = {path: (number, row) for number, (path, row) in enumerate(rows, 1)}

    def cell(column: Column) -> OverviewCell | None:
        own = [numbered[path] for path in table.members.get((line, column), ())]
        several = len({row.run for _, row in own}) > 1, len({row.seed for _, row in own}) > 1

        def name(row: ResultRow) -> str:
            return ", ".join(part for part, told in zip((row.run, f"seed {row.seed}"), several, strict=True) if told)

        found = tuple((number, name(row), percent(row.macro_auroc)) for number, row in own)
        return OverviewCell(table.cells[line, column], found) if found else None

    return tuple(cell(column) for column in columns)


def _literature(
    rows: Sequence[ResultRow], columns: Sequence[Column]
) -> tuple[tuple[tuple[str, str, str], tuple[PublishedCell | None, ...]], ...]:
    lines: dict[tuple[str, str, str], dict[Column, PublishedNumber]] = {}
    for entry in published_numbers():
        if not entry.label and (entry.task, entry.share) in columns:
            lines.setdefault(entry.line, {})[entry.task, entry.share] = entry
    return tuple(
        (line, tuple(_cell(cells[column], rows) if column in cells else None for column in columns))
        for line, cells in lines.items()
    )


def _cell(entry: PublishedNumber, rows: Sequence[ResultRow]) -> PublishedCell:
    twins = [row for row in rows if same_method(entry, row) and not disagreements(entry, row)]
    measured = [(row.run, row.macro_auroc) for row in twins if row.macro_auroc is not None]
    shown = [f"{signed(value - (entry.value or 0))} {run}" for run, value in measured]
    return PublishedCell(entry.text, entry.certainty, "; ".join(shown))
