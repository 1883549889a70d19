"""Which leads a model needs for what: lead sets against tasks and shares, a heat map a model."""

import statistics
from collections.abc import Sequence

from ecgkit.evaluation.results import ResultRow
from ecgkit.report.labels import lead_label, share_label
from ecgkit.report.section import Figure, HeatMap, Rows, Section, Table
from ecgkit.report.wording import DASH, interval, is_number, percent

CHANCE = 0.5
COLUMNS = ("run", "weights", "head", "task", "training share %", "leads", "seed", "auroc", "low", "high")
NOTE = "Macro AUROC × 100 with its 95 % interval; of several results the mean and how many. Colour from 50 to 100."


def leads_section(rows: Rows) -> Section | None:
    """Return a heat map a model whose results differ in their leads, or None."""
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
        sets.setdefault((row.task, share_label(row)), set()).add(lead_label(row))
    return any(len(names) > 1 for names in sets.values())


def _figure(rows: Sequence[ResultRow]) -> Figure:
    ordered = sorted(rows, key=lambda row: -len(row.leads))  # stable: in the order of the rows otherwise
    lines = tuple(dict.fromkeys(_leads(row) for row in ordered))
    columns = tuple(dict.fromkeys(_column(row) for row in rows))
    cells = {(line, column): [row for row in rows if (_leads(row), _column(row)) == (line, column)]
             for line in lines for column in columns}  # fmt: skip
    first = rows[0]
    model = f"{first.run}, {first.weights}, {first.head}"
    heat = HeatMap(
        "leads",
        lines,
        columns,
        tuple(tuple(_mean(cells[line, column]) for column in columns) for line in lines),
        tuple(tuple(_text(cells[line, column]) for column in columns) for line in lines),
        CHANCE,
        1.0,
    )
    table = Table(COLUMNS, tuple(_line(row) for row in rows))
    return Figure(f"{model}: macro AUROC × 100 by leads", f"Heat map of macro AUROC by leads, {model}", heat, table)


def _leads(row: ResultRow) -> str:
    return lead_label(row) or f"all {len(row.leads)}"


def _column(row: ResultRow) -> str:
    return ", ".join(part for part in (row.task, share_label(row)) if part)


def _mean(rows: Sequence[ResultRow]) -> float | None:
    values = [row.macro_auroc for row in rows if row.macro_auroc is not None and is_number(row.macro_auroc)]
    return statistics.fmean(values) if values else None


def _text(rows: Sequence[ResultRow]) -> str:
    mean = _mean(rows)
    if mean is None:
        return DASH if rows else ""
    return f"{percent(mean)}\n{interval(rows[0].macro_interval) if len(rows) == 1 else f'of {len(rows)}'}"


def _line(row: ResultRow) -> tuple[object, ...]:
    low, high = row.macro_interval or (None, None)
    return (row.run, row.weights, row.head, row.task, 100 * row.fraction, _leads(row), row.seed, row.macro_auroc,
            low, high)  # fmt: skip
