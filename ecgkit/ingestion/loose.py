"""Records of a file or a folder, read one at a time without a store, by the readers and the rules of an ingest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from ecgkit.datasets.base import Dataset, Source, settle
from ecgkit.datasets.budget import memory_budget, time_budget
from ecgkit.datasets.given import Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.people import introduce
from ecgkit.errors import LeadError, RecordError, SignalError
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.part import fit
from ecgkit.ingestion.plan import distinct, not_entered
from ecgkit.ingestion.source import find_dataset
from ecgkit.recording import Recording
from ecgkit.store.writer import LedgerRow


@dataclass(frozen=True)
class Listing:
    """The records of a file or a folder.

    Args:
        dataset: The layout that reads them.
        sources: The records, as the layout lists them.
        rejected: Ledger rows of folders that were not entered and of members of an archive that were refused.
    """

    dataset: Dataset
    sources: Sequence[Source]
    rejected: list[LedgerRow]


@dataclass(frozen=True)
class LooseRecord:
    """One record.

    Args:
        recording: The recording as a store would keep it: in counts, missing limb leads derived.
        row: Its columns of the record table.
        samples: Number of samples of the whole record, of which `recording` may hold the first only.
        clipped: Number of infinite samples, which were clipped.
    """

    recording: Recording
    row: dict[str, Any]
    samples: int
    clipped: int


def reading_options(dataset: str, source_fs: float | None, unit: str, lead_names: str) -> IngestOptions:
    """Return the options of reading files without a store.

    Args:
        dataset: Dataset layout; empty to detect it.
        source_fs: Sampling rate in Hz of files that do not state it.
        unit: Unit of the samples where the files state none.
        lead_names: Names of all rows in order, or renamings such as ``ECG=I``.

    Raises:
        ConfigError: The options contradict each other.
    """
    options = IngestOptions(dataset=dataset, given=Given(source_fs=source_fs, unit=unit, lead_names=lead_names))
    options.check()
    return options


def list_records(path: Path, options: IngestOptions) -> Listing:
    """List the records of a file or a folder.

    Raises:
        DatasetError: No layout reads it, or something is unknown that no record can do without.
    """
    options.check()
    dataset = find_dataset(path, options.dataset, options.fs, options.given)
    with memory_budget(options.max_record_mb):
        sources = distinct(settle(introduce(dataset)))
    return Listing(dataset, sources, not_entered(dataset))


def read_loose(dataset: Dataset, source: Source, options: IngestOptions) -> LooseRecord | LedgerRow:
    """Read one record, or return why that failed. Of a long record only the first `options.seconds` are read."""
    stage = "table" if source.problem else "header"
    try:
        if source.problem:
            raise RecordError(source.problem)
        with memory_budget(options.max_record_mb), time_budget(options.max_record_seconds):
            header = dataset.header(source)
            stage = "signal"
            recording = dataset.read_part(source, header, 0, _stop(header, options.seconds))
        row = options.identity.row(dataset.row(source, recording))
        counted, clipped = fit(recording, options).quantised()
    except (RecordError, SignalError, LeadError) as error:
        stage = "leads" if isinstance(error, LeadError) else stage
        return LedgerRow(source.record_id, source.path, stage, str(error))
    return LooseRecord(replace(counted, rpeaks=None), row, header.samples, clipped)


def _stop(header: Header, seconds: float | None) -> int:
    return header.samples if seconds is None else min(header.samples, ceil(seconds * header.fs))
