"""Where records come from: a store, or a file or folder that ingest's readers read. Both give blocks of records.

A block has a table with at least ``record_id``, ``fs``, ``samples``, ``leads`` and ``unit``, and groups of its records
under a signal contract. Records of files are held as a store would hold them, so both ways give the same numbers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.arrays.records import Records
from ecgkit.arrays.supplies import supplies_of
from ecgkit.arrays.views import view_of
from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.paths import size_and_time
from ecgkit.errors import RecordError
from ecgkit.executor import Executor
from ecgkit.ingestion.loose import LooseRecord, list_records, read_loose
from ecgkit.ingestion.options import IngestOptions
from ecgkit.progress import Advance
from ecgkit.signal.microvolts import MISSING, decode
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.format import RECORDS
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.store.writer import LedgerRow
from ecgkit.training.supply import Supply, open_supplies

BLOCK = 256  # records per block: large enough to fill batches, small enough to lose little when work is stopped
IN_BLOCK = ("record_id", "path", "fs", "samples", "leads", "unit")  # columns of the record table


@dataclass(frozen=True)
class Group:
    """Records of a block that can be encoded together.

    Args:
        at: Their places in the block.
        view: A view that holds them under the contract.
        rows: Their rows in the view.
        supplies: Inputs of the encoder besides the signal.
    """

    at: NDArray[np.int64]
    view: View
    rows: NDArray[np.int64]
    supplies: dict[str, Supply]


class Block(Protocol):
    """Some records that were read.

    Attributes:
        table: One row per record; see the module.
        rejected: Ledger rows of records that could not be read. They have no row in `table`.
        remarks: What else is to be said of each record; empty for nothing.
    """

    @property
    def table(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def rejected(self) -> list[LedgerRow]: ...  # noqa: D102
    @property
    def remarks(self) -> list[str]: ...  # noqa: D102

    def groups(self, at: NDArray[np.int64], spec: SignalSpec, needs: Sequence[str], owner: str) -> Iterator[Group]:
        """Yield the records at some places of the block, each once, under a signal contract.

        Args:
            at: Places in the block.
            spec: The signal contract.
            needs: Needs of the encoder.
            owner: Name of the model, for errors.

        Raises:
            StoreError: The store lacks a need.
            RunError: Files cannot give a need.
        """


class RecordSource(Protocol):
    """A store, or records of files."""

    @property
    def calls(self) -> list[tuple[int, Any]]:
        """Number of records of each block, and the argument with which `read` reads it."""

    @property
    def identity(self) -> tuple[str, str]:
        """Hash of what is to be read, and hash of the state in which it is."""

    @property
    def rejected(self) -> list[LedgerRow]:
        """Ledger rows that belong to no record."""

    def prepare(self, spec: SignalSpec, progress: Advance | None, executor: Executor | None) -> None:
        """Do once what all blocks need under a contract."""

    def read(self, call: Any) -> Block:
        """Read one block."""

    def without_list(self) -> "RecordSource":
        """Return the source for another process, which gets the records of each block with its call."""


@dataclass(frozen=True)
class StoreBlock:
    """Consecutive records of a store."""

    store: Store
    start: int
    stop: int
    rejected: list[LedgerRow] = field(default_factory=list)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per record."""
        return self.store.table[IN_BLOCK].iloc[self.start : self.stop].reset_index(drop=True)

    @cached_property
    def remarks(self) -> list[str]:
        """Missing samples."""
        shares = self.store.quality["missing"][self.start : self.stop]
        return [_missing(float(np.nanmean(share))) if np.isfinite(share).any() else "" for share in shares]

    def groups(self, at: NDArray[np.int64], spec: SignalSpec, needs: Sequence[str], owner: str) -> Iterator[Group]:
        """Yield the records from the view that every probe of the store shares."""
        view, supplies = _of_store(self.store.path, self.store.content_hash, spec, tuple(needs), owner)
        yield Group(at, view, at + self.start, supplies)


@lru_cache(maxsize=8)
def _of_store(
    path: Path, content_hash: str, spec: SignalSpec, needs: tuple[str, ...], owner: str
) -> tuple[View, dict[str, Supply]]:
    store = _opened(path)
    view = open_view(store, spec)
    return view, open_supplies(needs, store, view, owner=owner)


@lru_cache(maxsize=1)
def _opened(path: Path) -> Store:
    return Store(path)


@dataclass(frozen=True)
class StoreRecords:
    """All records of a store."""

    path: Path
    content_hash: str
    records: int
    rejected: list[LedgerRow] = field(default_factory=list)

    @property
    def calls(self) -> list[tuple[int, Any]]:
        """Consecutive records of the store."""
        spans = [(start, min(start + BLOCK, self.records)) for start in range(0, self.records, BLOCK)]
        return [(stop - start, (start, stop)) for start, stop in spans]

    @property
    def identity(self) -> tuple[str, str]:
        """The store's content hash."""
        return self.content_hash, self.content_hash

    def prepare(self, spec: SignalSpec, progress: Advance | None, executor: Executor | None) -> None:
        """Make the view of the store, if it has none yet."""
        open_view(_opened(self.path), spec, progress, executor)

    def read(self, call: tuple[int, int]) -> StoreBlock:
        """Return the records from one row up to another."""
        return StoreBlock(_opened(self.path), *call)

    def without_list(self) -> "StoreRecords":
        """Return itself: a store is sent as its path."""
        return self


@dataclass(frozen=True)
class FileBlock:
    """Records read from files."""

    loose: list[LooseRecord]
    rejected: list[LedgerRow]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per record: what its file and the dataset's tables say of it."""
        return pd.DataFrame([self._row(record) for record in self.loose])

    @cached_property
    def remarks(self) -> list[str]:
        """Missing and infinite samples."""
        return [_remark(record) for record in self.loose]

    def _row(self, record: LooseRecord) -> dict[str, Any]:
        recording = record.recording
        own = {
            "fs": recording.fs,
            "samples": record.samples,
            "leads": list(recording.leads),
            "derived_leads": list(recording.derived),
            "unit": recording.unit,
        }
        return {**record.row, **own}

    def groups(self, at: NDArray[np.int64], spec: SignalSpec, needs: Sequence[str], owner: str) -> Iterator[Group]:
        """Yield the records of one rate, length and lead set together."""
        kinds: dict[tuple[float, int, tuple[str, ...]], list[int]] = {}
        for place in at.tolist():
            recording = self.loose[place].recording
            kinds.setdefault((recording.fs, recording.samples, recording.leads), []).append(place)
        for (fs, _, leads), places in kinds.items():
            signal = np.stack([_millivolts(self.loose[place]) for place in places])
            records = Records(signal, fs, leads, single=False)
            rows = [self.loose[place].row for place in places]
            age = np.array([np.nan if row.get("age") is None else float(row["age"]) for row in rows])
            sex = [str(row.get("sex") or "") for row in rows]
            supplies = supplies_of(needs, records, spec, age=age, sex=sex)
            yield Group(np.array(places), view_of(records, spec), np.arange(len(places)), supplies)


def _millivolts(record: LooseRecord) -> NDArray[np.float32]:
    stored = record.recording.stored
    assert stored is not None, "read_loose returns counts"
    return np.asarray(decode(stored, np.float32, scaling=record.recording.scaling))


def _remark(record: LooseRecord) -> str:
    stored = record.recording.stored
    missing = 0.0 if stored is None or not stored.size else np.count_nonzero(stored == MISSING) / stored.size
    clipped = f"{record.clipped} infinite samples clipped" if record.clipped else ""
    return "; ".join(filter(None, [_missing(missing), clipped]))


def _missing(share: float) -> str:
    return f"{100 * share:.2g} % of the samples missing" if share > 0 else ""


@dataclass(frozen=True)
class FileRecords:
    """Records of a file or a folder.

    Args:
        dataset: The layout that reads them.
        options: Options of the reading. `IngestOptions.seconds` is the longest part that any model reads.
        sources: The records, as the layout lists them.
        rejected: Ledger rows of folders that were not entered.
    """

    dataset: Dataset
    options: IngestOptions
    sources: tuple[Source, ...] = ()
    rejected: list[LedgerRow] = field(default_factory=list)

    @property
    def calls(self) -> list[tuple[int, Any]]:
        """Some sources each."""
        blocks = [self.sources[start : start + BLOCK] for start in range(0, len(self.sources), BLOCK)]
        return [(len(block), block) for block in blocks]

    @property
    def identity(self) -> tuple[str, str]:
        """Hash of the path and the options, and hash of all records with the sizes and times of their files."""
        digest = hashlib.sha256()
        for source in self.sources:
            digest.update(repr((source, _state(self.dataset, source))).encode())
        what = repr((str(self.dataset.root), self.dataset.name, self.options))
        return hashlib.sha256(what.encode()).hexdigest(), digest.hexdigest()

    def prepare(self, spec: SignalSpec, progress: Advance | None, executor: Executor | None) -> None:
        """Do nothing: files need no preparation."""

    def read(self, call: Sequence[Source]) -> FileBlock:
        """Read the records of some sources."""
        found = [read_loose(self.dataset, source, self.options) for source in call]
        return FileBlock(
            [record for record in found if isinstance(record, LooseRecord)],
            [row for row in found if isinstance(row, LedgerRow)],
        )

    def without_list(self) -> "FileRecords":
        """Return the source without its list of records."""
        return replace(self, sources=(), rejected=[])


def _state(dataset: Dataset, source: Source) -> tuple[int, float] | None:
    """Return the size of a record's file and the time of its last change; None if its path is no single file."""
    try:
        return size_and_time(dataset.root, source.path)
    except (OSError, ValueError, RecordError):
        return None


def open_records(path: Path, options: IngestOptions, seconds: float) -> RecordSource:
    """Return the records of a store, of a folder of any layout, or of one file.

    Args:
        path: The store, folder or file.
        options: What the files do not say; not used for a store.
        seconds: Longest part of a record that any model reads, in s.

    Raises:
        StoreError: The store is damaged.
        DatasetError: No layout reads the folder or file, or something is unknown that no record can do without.
    """
    if (path / "zarr.json").is_file() and (path / RECORDS).is_file():
        _opened.cache_clear()  # another store may have taken its place
        store = Store(path)
        return StoreRecords(path.absolute(), store.content_hash, len(store))
    options = replace(options, seconds=seconds)
    listing = list_records(path, options)
    return FileRecords(listing.dataset, options, tuple(listing.sources), listing.rejected)
