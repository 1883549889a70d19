"""The tables of a study: each cell by its name, what was measured, and what the publication prints.

A number is the mean macro AUROC x 100 over seeds, trainings and draws with its standard deviation, or one result with
its interval. A published number stands beside it and is never part of a mean.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ecgkit.atomic import atomic_file
from ecgkit.evaluation.results.averages import average_auroc
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.suites.file import learns_nothing
from ecgkit.reporting.tables.published_numbers import published_numbers
from ecgkit.studies.file import Printed
from ecgkit.studies.grid import Asked, amount_of
from ecgkit.wording import percent

MEAN = "mean"  # the line over all tasks of a probe
COLUMNS = ("table", "encoder", "task", "head", "leads", "labels", "AUROC", "results", "published")


@dataclass(frozen=True)
class Line:
    """One number of a table.

    Args:
        table: Name of the table.
        encoder: Name of the encoder in it.
        task: Name of the task; ``mean`` for the mean over tasks.
        head: The head.
        leads: Lead set; empty for all leads.
        labels: Amount of labels; empty for all.
        auroc: What was measured; empty if nothing was yet.
        results: Number of results in it.
        published: What the publication prints, with source and certainty; empty if nothing is known.
    """

    table: str
    encoder: str
    task: str
    head: str
    leads: str
    labels: str
    auroc: str
    results: int
    published: str

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the columns."""
        return (
            self.table,
            self.encoder,
            self.task,
            self.head,
            self.leads or "all",
            self.labels or "all",
            self.auroc,
            str(self.results or ""),
            self.published,
        )


@dataclass(frozen=True)
class _Key:
    table: str
    encoder: str
    head: str
    settings: tuple[str, ...]
    leads: str
    labels: str


def lines_of(asked: Sequence[tuple[Asked, Sequence[ResultRow | None]]]) -> list[Line]:
    """Return the lines of all probes in the order of the study; analyses have tables of their own.

    Args:
        asked: The probes, each with the rows of its requests; None for a result that is not there.
    """
    groups: dict[_Key, dict[str, list[ResultRow]]] = {}
    of: dict[_Key, Asked] = {}
    for each, rows in asked:
        if each.probe.layers or each.probe.perturb:
            continue
        for request, row in zip(each.requests, rows, strict=True):
            table, head = each.probe.cell or each.probe.name, (request.head_name, request.head_settings)
            key = _Key(table, each.of, *head, request.leads, amount_of(request))
            of.setdefault(key, each)
            groups.setdefault(key, {}).setdefault(request.task, []).extend([row] if row else [])
    return [line for key, tasks in groups.items() for line in _lines(key, of[key], tasks)]


def _lines(key: _Key, asked: Asked, tasks: Mapping[str, list[ResultRow]]) -> Iterator[Line]:
    """Yield a line per task, and one for the mean over several."""
    values: list[float] = []
    for task, rows in tasks.items():
        average = average_auroc(rows)
        values += [] if average.value is None else [average.value]
        auroc = average.percent if rows and average.value is not None else ""
        yield _line(key, task, auroc, len(rows), _published(key, asked, task))
    if len(tasks) > 1:
        whole = percent(fmean(values)) if len(values) == len(tasks) else ""
        yield _line(key, MEAN, whole, sum(map(len, tasks.values())), _published(key, asked, MEAN))


def _line(key: _Key, task: str, auroc: str, results: int, published: str) -> Line:
    head = " ".join([key.head, *key.settings])
    return Line(key.table, key.encoder, task, head, key.leads, key.labels, auroc, results, published)


def _published(key: _Key, asked: Asked, task: str) -> str:
    """Return what is printed of a cell: in the file of published numbers, and in the study itself."""
    share = "0 %" if learns_nothing(key.head) else key.labels or "100 %"
    listed = [
        Printed(entry.text, entry.source, entry.certainty)
        for entry in published_numbers()
        if (entry.method, entry.task, entry.share, entry.label) == (asked.published, task, share, "")
        and entry.head == key.head
        and not key.leads
    ]
    own = [
        printed
        for printed in asked.probe.printed
        if (printed.of, printed.task, printed.leads, printed.amount) == (key.encoder, task, key.leads, key.labels)
        and printed.head in ("", key.head)
    ]
    return "; ".join(f"{printed.value} ({printed.certainty}: {printed.source})" for printed in (*own, *listed))


def write_tables(folder: Path, title: str, lines: Sequence[Line]) -> tuple[Path, Path]:
    """Write ``cells.csv`` and ``cells.md``, one table per name, and return their paths."""
    table, page = folder / "cells.csv", folder / "cells.md"
    with atomic_file(table) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(line.cells() for line in lines)
    with atomic_file(page) as staging:
        staging.write_text(f"# {title}\n\n{markdown(lines)}", encoding="utf-8")
    return table, page


def markdown(lines: Sequence[Line]) -> str:
    """Return the lines as Markdown, one heading and table per table of the study."""
    parts = []
    for name in dict.fromkeys(line.table for line in lines):
        own = [line.cells()[1:] for line in lines if line.table == name]
        rows = [COLUMNS[1:], ("---",) * (len(COLUMNS) - 1), *own]
        parts.append(f"## {name}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n")
    return "\n".join(parts)
