"""Ingest: a dataset as it lies on disk becomes one store, and every record that does not is accounted for.

Two passes: the headers decide the store's shape and give each record its slot, then each shard's signals are read,
checked and stored by themselves, in this process or in many. A record that cannot be taken goes to the ledger with the
stage and the reason; none is dropped silently. What is done survives the process that did it: the same call goes on
from there, and gives the same bytes.
"""

import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from ecgkit.atomic import check_output
from ecgkit.datasets.base import Dataset
from ecgkit.errors import OutputError
from ecgkit.executor import Executor, open_executor, stop_on_interrupt
from ecgkit.ingestion.options import EVERYTHING, IngestOptions
from ecgkit.ingestion.part import Job, make_part
from ecgkit.ingestion.plan import Plan, Progress, make_plan, nothing_read
from ecgkit.ingestion.source import find_dataset
from ecgkit.ingestion.staging import Staging, open_staging, sweep
from ecgkit.store.assembly import KIND, assemble
from ecgkit.store.writer import LEDGER, ROWS, LedgerRow, part_file, read_ledger

__all__ = ["IngestOptions", "IngestReport", "find_dataset", "ingest"]


@dataclass
class IngestReport:
    """What became of a folder's records.

    Args:
        dataset: The layout that was taken.
        found: Records that the dataset lists and the options ask for.
        taken: Records in the store; those that were split count once a window.
        rejected: Ledger rows.
        flagged: How many records have which quality flag.
        fewer_leads: How many records have which set of leads, where it is not the whole lead axis.
        derived: How many records had how many limb leads computed.
        other: How many records hold which signals that are no ECG leads.
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
    content_hash: str = ""

    @property
    def failed(self) -> int:
        """Records that could not be read; those that were dropped by a flag could."""
        return len({row.record_id for row in self.rejected if row.stage != "dropped"})


class Interrupted(KeyboardInterrupt):
    """Ctrl-C stopped the work between two parts; what is done is kept."""


def ingest(
    src: Path,
    out: Path,
    options: IngestOptions = EVERYTHING,
    progress: Progress | None = None,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
) -> IngestReport:
    """Take a dataset into a new store, or go on where an earlier call with the same arguments was stopped.

    Args:
        src: The dataset's folder, as downloaded.
        out: The store to make; it appears only when it is complete. Until then ``OUT.partial`` holds what is done.
        options: What decides the store's content.
        progress: Called with the stage, records done and records in all.
        overwrite: Replace an existing store, and whatever was begun in its place with other options.
        executor: Who does the work; None for this process.

    Returns:
        What was taken and what was not.

    Raises:
        ConfigError: `options` asks for what cannot be.
        DatasetError: `src` is missing, empty or of no known layout, or none of its records can be read.
        OutputError: `out` exists, is being made by another process, or does not fit on the disk.
        Interrupted: Ctrl-C was pressed; the shard in hand was finished.
    """
    options.check()
    sweep(out)
    check_output(out, KIND, overwrite=overwrite)
    dataset = find_dataset(src, options.dataset, options.fs)
    with (
        _told_of_a_full_disk(out),
        stop_on_interrupt() as stopped,
        open_staging(out, overwrite=overwrite) as staging,
        open_executor() as here,
    ):
        at = executor or here
        plan = make_plan(dataset, options, at, stopped, progress)
        staging.begin(plan.fingerprint(options), overwrite=overwrite)
        job = Job(dataset, options, plan.layout, staging.parts)
        left = [index for index in range(plan.parts) if not staging.is_done(index)]
        done = plan.slots - sum(len(plan.part(index)) for index in left)
        for count in at.run(partial(make_part, job), ((index, plan.part(index)) for index in left), stopped):
            done += count
            if progress:
                progress("signals", done, plan.slots)
        if done < plan.slots:
            raise Interrupted(f"stopped after {done} of {plan.slots} records; the same command goes on from there")
        return _finish(plan, staging, dataset)


def _finish(plan: Plan, staging: Staging, dataset: Dataset) -> IngestReport:
    """Put the store together and in its place, and tell what is in it."""
    report = IngestReport(dataset.name, plan.found, rejected=list(plan.rejected))
    parts = range(plan.parts)
    report.rejected += [row for index in parts for row in read_ledger(part_file(staging.parts, index, LEDGER))]
    for index in parts:
        _count(report, part_file(staging.parts, index, ROWS), plan.layout.leads)
    if not report.taken:
        staging.clear()
        raise nothing_read(dataset, plan.found, report.rejected)
    report.content_hash = assemble(
        staging.parts,
        staging.store,
        plan.layout,
        slots=plan.slots,
        rejected=plan.rejected,
        attributes={"dataset": dataset.name, "code_system": dataset.code_system},
    )
    staging.finish()
    return report


def _count(report: IngestReport, rows: Path, axis: tuple[str, ...]) -> None:
    """Add a part's rows to the report."""
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


@contextmanager
def _told_of_a_full_disk(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OutputError(
            f"the disk is full ({out} is not finished)",
            "room for the store",
            "Make room and give the same command again: it goes on from there.",
        ) from None
