"""Ingest: convert a dataset's files on disk into one store, and account for every record that is left out.

There are two passes. First the headers decide the store's shape and give each record its slot. Then each shard is
made on its own, in this process or in many: its signals are read, checked and stored. A record that cannot be ingested
goes to the ledger with the stage and the reason; no record is dropped silently. If the process is stopped, finished
shards are kept. The same call continues from there and gives the same bytes.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from ecgkit.choices import recorded
from ecgkit.datasets.base import Dataset
from ecgkit.executor import Executor, open_executor
from ecgkit.ingestion.duplicates import find_duplicates
from ecgkit.ingestion.options import DUPLICATES, EVERYTHING, IngestOptions
from ecgkit.ingestion.part import Job, make_part
from ecgkit.ingestion.plan import Plan, Progress, make_plan, nothing_read
from ecgkit.ingestion.source import find_dataset
from ecgkit.interrupt import safe_points
from ecgkit.parquet import read_table
from ecgkit.parts import Part, made_again_if_damaged, make_parts
from ecgkit.store.assembly import KIND, assemble
from ecgkit.store.format import OFFSETS, STEPS, scaling_of
from ecgkit.store.replaced import Rescued, rescue
from ecgkit.store.writer import LEDGER, QUALITY, ROWS, LedgerRow, part_file, read_ledger
from ecgkit.unfinished import Unfinished

__all__ = ["IngestOptions", "IngestReport", "find_dataset", "ingest"]


@dataclass
class IngestReport:
    """Counts of an ingest.

    Args:
        dataset: Name of the dataset layout.
        found: Number of records that the dataset lists and the options select.
        taken: Number of records in the store; a record that was split counts once per window.
        records: Number of records of the dataset that they come from.
        rejected: Rows of the ledger.
        flagged: Number of records per quality flag.
        fewer_leads: Number of records per set of leads, for records that lack some of the store's leads.
        derived: Number of records per set of limb leads that were computed.
        other: Number of records per signal that is not an ECG lead.
        unknown_patients: Number of records of which no patient is known.
        duplicates: Record ids of each waveform that occurs more than once.
        telling: Number of records whose id tells the patient's id, although that is hashed.
        clipped: Number of records with infinite samples, which were clipped.
        rescaled: Number of records with a lead in steps other than a microvolt.
        offset: Number of records with a lead that has an offset of its own.
        findings: What was found by looking, such as the order of axes, one line each.
        source_changed: Whether the source had changed since a stopped run, so that its parts were made anew.
        rescued: What became of the products of a store that was replaced.
        content_hash: Hash of the store.
    """

    dataset: str
    found: int
    taken: int = 0
    records: int = 0
    rejected: list[LedgerRow] = field(default_factory=list)
    flagged: Counter[str] = field(default_factory=Counter)
    fewer_leads: Counter[tuple[str, ...]] = field(default_factory=Counter)
    derived: Counter[tuple[str, ...]] = field(default_factory=Counter)
    other: Counter[str] = field(default_factory=Counter)
    unknown_patients: int = 0
    duplicates: list[tuple[str, ...]] = field(default_factory=list)
    telling: int = 0
    clipped: int = 0
    rescaled: int = 0
    offset: int = 0
    findings: list[str] = field(default_factory=list)
    source_changed: bool = False
    rescued: Rescued = field(default_factory=Rescued)
    content_hash: str = ""

    @property
    def failed(self) -> int:
        """Number of records and folders that could not be read, without records dropped because of a flag."""
        return len({row.record_id for row in self.rejected if row.stage not in ("dropped", "link")})


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
        overwrite: Replace an existing store, and unfinished work with other options. The products in the store, such
            as entities and verdicts, are not lost; see `ecgkit.store.replaced`.
        executor: Runs the work; None for this process.

    Returns:
        Counts of the ingest.

    Raises:
        ConfigError: `options` are invalid.
        DatasetError: `src` is missing, empty or of no known layout, or none of its records can be read.
        OutputError: `out` exists, is being made by another process, or does not fit on the disk.
        KeyboardInterrupt: Ctrl-C was pressed; the parts that are done are kept.
        WorkerError: A worker ended before its work was done.
        StoreError: What an earlier call had done was damaged on the disk.
    """
    options.check()
    rescued: list[Rescued] = []
    unfinished = Unfinished(
        out, KIND, overwrite=overwrite, rescue=lambda old: rescued.append(rescue(old, unfinished.out))
    )
    unfinished.check_free()
    dataset = find_dataset(src, options.dataset, options.fs, options.given)
    with unfinished.open(), open_executor() as here:
        at = executor or here
        with safe_points() as stop:
            plan = make_plan(dataset, options, at, stop, progress)
            is_changed = unfinished.begin(plan.fingerprint(options), plan.source())
            job = Job(dataset, options, plan.layout, unfinished.parts)
            is_long = plan.layout.tiles > 1  # then records say little about how far the work is
            watch = partial(progress, "samples" if is_long else "signals") if progress else None
            parts = _parts(plan, by_samples=is_long)
            make_parts(unfinished, partial(make_part, job), parts, at, watch, lambda index: (index, plan.part(index)))
        with made_again_if_damaged(unfinished, lambda file: f"{file.name.partition('.')[0]}.{ROWS}"):
            report = _finish(plan, unfinished, dataset, options)
        return replace(report, source_changed=is_changed, rescued=rescued[-1] if rescued else Rescued())


def _parts(plan: Plan, *, by_samples: bool) -> list[Part[int]]:
    return [
        Part(part_file(Path(), index, ROWS).name, plan.size(index), index, plan.samples(index) if by_samples else 0)
        for index in range(plan.parts)
    ]


def _finish(plan: Plan, unfinished: Unfinished, dataset: Dataset, options: IngestOptions) -> IngestReport:
    """Assemble the store, move it into place, and return its report."""
    report = IngestReport(
        dataset.name,
        plan.found,
        rejected=list(plan.rejected),
        findings=list(dataset.findings),
        telling=plan.telling,
    )
    parts, folder = range(plan.parts), unfinished.parts
    files = {kind: [part_file(folder, index, kind) for index in parts] for kind in (LEDGER, ROWS, QUALITY)}
    report.rejected += [row for file in files[LEDGER] for row in read_ledger(file)]
    same = find_duplicates(files[ROWS], files[QUALITY], drop=DUPLICATES in options.drop)
    report.duplicates = same.groups
    report.rejected += same.dropped
    last = ""
    for file in files[ROWS]:
        table = same.changes.apply(read_table(file))
        last = _count(report, table, plan.layout.leads, last, is_split=options.window == "split")
    if not report.taken:
        unfinished.clear()
        raise nothing_read(dataset, plan.found, report.rejected)
    report.content_hash = assemble(
        unfinished.parts,
        unfinished.made,
        plan.layout,
        slots=plan.slots,
        rejected=[*plan.rejected, *same.dropped],
        attributes={
            "dataset": dataset.name,
            "archives": list(dataset.archives),
            "code_system": dataset.code_system,
            "findings": report.findings,
            "unknown_patients": report.unknown_patients,
            **options.identity.attributes,
            **({"defaults": recorded()} if recorded() else {}),
        },
        changes=same.changes,
    )
    unfinished.finish()
    return report


def _count(report: IngestReport, table: pa.Table, axis: tuple[str, ...], last: str, *, is_split: bool) -> str:
    """Add the rows of a part to the report.

    Args:
        report: The report.
        table: The rows.
        axis: The store's leads.
        last: Id of the last record of the part before, without the number of its window.
        is_split: Whether records were split into windows, which follow each other.

    Returns:
        Id of the last record.
    """
    if not len(table):
        return last
    leads, derived, other, flags = (
        table[name].to_pylist() for name in ("leads", "derived_leads", "other_signals", "flags")
    )
    report.taken += len(table)
    report.unknown_patients += table["patient_id"].null_count
    ids = table["record_id"].to_pylist()
    whole = [record.rpartition("#")[0] or record for record in ids] if is_split else ids
    report.records += sum(one != before for one, before in pairwise([last, *whole]))
    report.fewer_leads.update(tuple(names) for names in leads if len(names) < len(axis))
    report.derived.update(tuple(names) for names in derived if names)
    report.other.update(name for names in other for name in names)
    report.flagged.update(flag for names in flags for flag in names)
    report.clipped += sum(samples > 0 for samples in table["clipped_samples"].to_pylist())
    if STEPS in table.column_names:
        scalings = [scaling for row in table.select([STEPS, OFFSETS]).to_pylist() if (scaling := scaling_of(row))]
        report.rescaled += sum(any(step != 1 for step in scaling.steps) for scaling in scalings)
        report.offset += sum(any(scaling.offsets) for scaling in scalings)
    return str(whole[-1])
