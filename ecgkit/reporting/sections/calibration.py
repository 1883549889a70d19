"""Calibration: reliability curves of the probabilities over all classes, after Guo et al., arXiv 1706.04599."""

from collections.abc import Sequence

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Figure, Plot, Point, Rows, Section, Series, Table

MOST = 6  # largest number of curves in a figure
NOTE = (
    "Share of positives against predicted probability, in ten bins of equal width over all classes together; on the "
    "diagonal both are the same. ECE: expected calibration error, the mean distance weighted by how many lie in a bin."
)
COLUMNS = ("result", "ece", "predicted", "observed", "count")


def calibration_section(rows: Rows) -> Section | None:
    """Return the reliability curves of a task's results, or None if no row holds one."""
    tasks = dict.fromkeys(row.task for _, row in rows)
    groups = [[row for _, row in rows if row.task == task] for task in tasks]
    figures = tuple(_figure(group) for group in groups if any(row.calibration.get("predicted") for row in group))
    return Section("Calibration", figures, NOTE) if figures else None


def _figure(rows: Sequence[ResultRow]) -> Figure:
    held = [(row, name) for row, name in zip(rows, result_names(rows), strict=True) if row.calibration.get("predicted")]
    held.sort(key=lambda pair: -(pair[0].macro_auroc or 0))
    known = [(name, row.calibration) for row, name in held]
    drawn = tuple(
        Series(
            f"{name} (ECE {curve['ece']:.3f})",
            tuple(Point(x, y) for x, y in zip(curve["predicted"], curve["observed"], strict=True)),
        )
        for name, curve in known[:MOST]
    )
    diagonal = Series("perfect calibration", (Point(0, 0), Point(1, 1)), "reference")
    table = tuple(
        (name, curve["ece"], *bin)
        for name, curve in known
        for bin in zip(curve["predicted"], curve["observed"], curve["count"], strict=True)
    )
    said = "; ".join(series.name for series in drawn)
    return Figure(
        f"{rows[0].task_title}: reliability",
        f"Reliability curves: {said}",
        Plot("predicted probability", "share of positives", (diagonal, *drawn), square=True),
        Table(COLUMNS, table),
        f"Drawn: the {MOST} of {len(known)} results with the highest macro AUROC; the table holds all."
        if len(known) > MOST
        else "",
    )
