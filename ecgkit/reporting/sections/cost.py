"""The cost of results: wall time of each, and time, throughput and device of its training."""

import statistics
from typing import Any

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import result_names
from ecgkit.reporting.elements.section import Bars, Figure, Rows, Section, Table
from ecgkit.wording import is_number, seconds

MOST = 24  # bars
NOTE = (
    "Wall times depend on what else the machine did and on whether features were in the cache. Compare them only on "
    "one device. Training: the sum over epochs, and the median of their throughput."
)
COLUMNS = (*("task", "result", "result s", "training records", "epochs", "training s", "training records/s", "device"),)


def cost_section(rows: Rows) -> Section | None:
    """Return wall times and throughput, or None if no row holds any."""
    timed = [row for _, row in rows if is_number(row.seconds)]
    if not timed:
        return None
    names = _names(timed)
    table = Table(COLUMNS, tuple(_line(name, row) for name, row in zip(names, timed, strict=True)))
    longest = sorted(zip(names, timed, strict=True), key=lambda pair: -pair[1].seconds)[:MOST]
    several = len({row.task for row in timed}) > 1
    bars = tuple(
        (f"{row.task}: {name}" if several else name, row.seconds, f"{seconds(row.seconds)} s") for name, row in longest
    )
    note = f"Drawn: the {MOST} longest of {len(timed)}; the table holds all." if len(timed) > MOST else ""
    title = "Wall time of each result"
    alt = f"{title}; longest {bars[0][0]} with {bars[0][2]}"
    return Section("Time and throughput", (Figure(title, alt, Bars(bars), table, note),), NOTE)


def _names(rows: list[ResultRow]) -> list[str]:
    names: dict[int, str] = {}
    for task in dict.fromkeys(row.task for row in rows):
        places = [i for i, row in enumerate(rows) if row.task == task]
        names |= dict(zip(places, result_names([rows[i] for i in places]), strict=True))
    return [names[i] for i in range(len(rows))]


def _line(name: str, row: ResultRow) -> tuple[Any, ...]:
    spent = [epoch["seconds"] for epoch in row.training if is_number(epoch.get("seconds"))]
    rates = [epoch["records_per_second"] for epoch in row.training if is_number(epoch.get("records_per_second"))]
    training = (
        len(row.training) or None,
        round(sum(spent), 1) if spent else None,
        round(statistics.median(rates), 1) if rates else None,
    )
    records = row.counts.get("train", {}).get("records")
    return (row.task, name, round(row.seconds, 2), records, *training, row.environment.get("device"))
