"""Scores by lead set: one heat map per model, of lead sets against tasks and shares of the training set."""

from collections.abc import Sequence

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import leads_name, leads_or_all, share_name
from ecgkit.reporting.elements.section import Figure, Rows, Section, Table
from ecgkit.reporting.tables.lead_matrix import lead_map

COLUMNS = ("run", "weights", "head", "task", "training share %", "leads", "seed", "class", "auroc", "low", "high")
NOTE = (
    "AUROC × 100: the macro mean, and of a single task also each class. Small: the 95 % interval over test "
    "patients, or ± one standard deviation over seeds that differ. Colour from 50 to 100."
)


def leads_section(rows: Rows) -> Section | None:
    """Return one heat map for each model with results on different leads, or None."""
    models: dict[tuple[str, str, str], list[ResultRow]] = {}
    for _, row in rows:
        if row.targets:
            continue
        models.setdefault((row.run, row.weights, row.head), []).append(row)
    figures = tuple(_figure(own) for own in models.values() if _differ(own))
    return Section("Leads", figures, NOTE) if figures else None


def _differ(rows: Sequence[ResultRow]) -> bool:
    sets: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        sets.setdefault((row.task, share_name(row)), set()).add(leads_name(row))
    return any(len(names) > 1 for names in sets.values())


def _figure(rows: Sequence[ResultRow]) -> Figure:
    model = f"{rows[0].run}, {rows[0].weights}, {rows[0].head}"
    table = Table(COLUMNS, tuple(line for row in rows for line in _lines(row)))
    return Figure(f"{model}: AUROC × 100 by leads", f"Heat map of AUROC by leads, {model}", lead_map(rows), table)


def _lines(row: ResultRow) -> list[tuple[object, ...]]:
    scores = [("macro", row.macro_auroc, row.macro_interval), *((c.label, c.auroc, c.interval) for c in row.classes)]
    about = (row.run, row.weights, row.head, row.task, 100 * row.fraction, leads_or_all(row), row.seed)
    return [(*about, name, value, *(bounds or (None, None))) for name, value, bounds in scores]
