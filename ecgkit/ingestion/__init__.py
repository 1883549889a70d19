"""Ingest: convert a dataset's files on disk into one store, and account for every record that is left out.

There are two passes. First the headers decide the store's shape and give each record its slot. Then each shard is
made on its own, in this process or in many: its signals are read, checked and stored. A record that cannot be ingested
goes to the ledger with the stage and the reason; no record is dropped silently. If the process is stopped, finished
shards are kept. The same call continues from there and gives the same bytes.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from ecgkit.datasets.base import Dataset
from ecgkit.executor import Executor, open_executor, stop_on_interrupt
from ecgkit.ingestion.options import EVERYTHING, IngestOptions
from ecgkit.ingestion.part import Job, make_part
from ecgkit.ingestion.plan import Plan, Progress, Slots, make_plan, nothing_read
from ecgkit.ingestion.source import find_dataset
from ecgkit.parts import Part, make_parts
from ecgkit.store.assembly import KIND, assemble
from ecgkit.store.writer import LEDGER, ROWS, LedgerRow, part_file, read_ledger
from ecgkit.unfinished import Unfinished

__all__ = ["IngestOptions", "IngestReport", "find_dataset", "ingest"]


@dataclass
class IngestReport:
    """Counts of an ingest.

    Args:
        dataset: Name of the dataset layout.
        found: Number of records that the dataset lists and the options select.
        taken: Number of records in the store; a record that was split counts once per window.
        rejected: Rows of the ledger.
        flagged: Number of records per quality flag.
        fewer_leads: Number of records per set of leads, for records that lack some of the store's leads.
        derived: Number of records per set of limb leads that were computed.
        other: Number of records per signal that is not an ECG lead.
        findings: What was found by looking, such as the order of axes, one line each.
        content_hash: Hash of the store.
    """

    dataset: str
    found: int
    taken: int = 0
    rejected: list[LedgerRow] = field(default_factory=list)
    flagged: Counter[str] = field(default_factory=Counter)
    fewer_leads: Counter[tuple[str, ...]] = field(default_factory=Counter)
    derived: Counter[tuple[str, ...]] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    content_hash: str = ""

    @property
    def failed(self) -> int:
        """Number of records that could not be read. Records dropped because of a flag are not counted."""
        return len({row.record_id for row in self.rejected if row.stage != "dropped"})


def ingest(
    src: Path,
    out: Path,
    options: IngestOptions = EVERYTHING,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
) -> IngestReport:
    """Convert a dataset into a new store. A stopped call continues when it is repeated with the same arguments.

    Args:
        src: The dataset's folder, as downloaded.
        out: The store to make. It appears only when it is complete; until then ``OUT.partial`` holds the parts that
            are done.
        options: Options that decide the store's content.
        progress: Called with the stage, records done and records in total.
        overwrite: Replace an existing store, and unfinished work with other options.
        executor: Runs the work; None for this process.

    Returns:
        Counts of the ingest.

    Raises:
        ConfigError: `options` are invalid.
        DatasetError: `src` is missing, empty or of no known layout, or none of its records can be read.
        OutputError: `out` exists, is being made by another process, or does not fit on the disk.
        KeyboardInterrupt: Ctrl-C was pressed; the parts that are done are kept.
        WorkerError: A worker ended before its work was done.
    """
    options.check()
    unfinished = Unfinished(out, KIND, overwrite=overwrite)
    unfinished.check_free()
    dataset = find_dataset(src, options.dataset, options.fs, options.given)
    with unfinished.open(), open_executor() as here:
        at = executor or here
        with stop_on_interrupt() as stopped:
            plan = make_plan(dataset, options, at, stopped, progress)
        unfinished.begin(plan.fingerprint(options))
        job = Job(dataset, options, plan.layout, unfinished.parts)
        watch = partial(progress, "signals") if progress else None
        make_parts(unfinished, partial(make_part, job), _parts(plan), at, watch)
        return _finish(plan, unfinished, dataset)


def _parts(plan: Plan) -> list[Part[tuple[int, Slots]]]:
    slots = ((index, plan.part(index)) for index in range(plan.parts))
    return [Part(part_file(Path(), index, ROWS).name, len(some), (index, some)) for index, some in slots]


def _finish(plan: Plan, unfinished: Unfinished, dataset: Dataset) -> IngestReport:
    """Assemble the store, move it into place, and return its report."""
    report = IngestReport(dataset.name, plan.found, rejected=list(plan.rejected), findings=list(dataset.findings))
    parts = range(plan.parts)
    report.rejected += [row for index in parts for row in read_ledger(part_file(unfinished.parts, index, LEDGER))]
    for index in parts:
        _count(report, part_file(unfinished.parts, index, ROWS), plan.layout.leads)
    if not report.taken:
        unfinished.clear()
        raise nothing_read(dataset, plan.found, report.rejected)
    report.content_hash = assemble(
        unfinished.parts,
        unfinished.made,
        plan.layout,
        slots=plan.slots,
        rejected=plan.rejected,
        attributes={"dataset": dataset.name, "code_system": dataset.code_system},
    )
    unfinished.finish()
    return report


def _count(report: IngestReport, rows: Path, axis: tuple[str, ...]) -> None:
    """Add the rows of a part to the report."""
    table = pq.read_table(rows)
    if not len(table):
        return
    leads, derived, other, flags = (
        table[name].to_pylist() for name in ("leads", "derived_leads", "other_signals", "flags")
    )
    report.taken += len(table)
    report.fewer_leads.update(tuple(names) for names in leads if len(names) < len(axis))
    report.derived.update(tuple(names) for names in derived if names)
    report.other.update(name for names in other for name in names)
    report.flagged.update(flag for names in flags for flag in names)
