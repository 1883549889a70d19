"""Makes all tables of a report, with their tests, once for the page and all other formats."""

from collections.abc import Callable
from dataclasses import dataclass

from ecgkit.reporting.elements.section import Rows
from ecgkit.reporting.tables.regression import TargetTable, target_tables
from ecgkit.reporting.tables.summary import SummaryTable, summary_table


@dataclass(frozen=True)
class ReportTables:
    """The tables of a report.

    Args:
        summary: Models against tasks that have classes.
        targets: One table per predicted number.
    """

    summary: SummaryTable
    targets: tuple[TargetTable, ...]


def report_tables(
    rows: Rows, *, tests: bool = True, progress: Callable[[int, int], None] = lambda done, total: None
) -> ReportTables:
    """Arrange results as tables.

    Args:
        rows: Rows and their files.
        tests: Whether to test each result against the best of its column.
        progress: Called with columns of the summary done and columns in total.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    return ReportTables(summary_table(rows, tests=tests, progress=progress), tuple(target_tables(rows, tests=tests)))
