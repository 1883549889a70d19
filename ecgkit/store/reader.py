"""Reading stores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.parquet import WideTable, read_frame
from ecgkit.recording import Recording
from ecgkit.signal.microvolts import Scaling, decode
from ecgkit.signal.quality import MEASURES, Measures
from ecgkit.store import format as fmt
from ecgkit.store.identity import qualified, recordings_of
from ecgkit.store.opening import REMAKE, damaged, open_table, read_attributes, read_part
from ecgkit.store.remote import pieces_of
from ecgkit.store.shards import ShardReader

# Columns of the record table that a signal is read and verified with, and those that a recording has besides.
OF_SIGNAL = ("record_id", "samples", "leads", "sha256", fmt.STEPS, fmt.OFFSETS)
OF_RECORDING = ("fs", "unit", "source_leads", "derived_leads", "other_signals", "rpeaks")

T = TypeVar("T")


class Store:
    """A finished store, opened for reading.

    Args:
        path: The store's folder.

    Raises:
        StoreError: `path` is not a store, has a newer format, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attributes = read_attributes(path)
        self.leads: tuple[str, ...] = tuple(self.attributes["leads"])
        self._array: Any = self._read("signal", open_array)
        self._slots = self.table["slot"].to_numpy(np.int64)
        self._sound: set[int] = set()  # rows of records that were compared with their hashes
        self._pieces = pieces_of(path)
        if len(self) != self.attributes["records"] or (len(self) and self._slots.max() >= self._array.shape[0]):
            raise StoreError(f"{path} has {len(self)} rows for {self.attributes['records']} records", remedy=REMAKE)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the store as its path, so that a large record table is not sent with every call."""
        return _reopen, (self.path.absolute(), self.content_hash)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def content_hash(self) -> str:
        """Hash over all waveforms and the record table."""
        return str(self.attributes["content_sha256"])

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes that results on this store state."""
        return {"store": self.content_hash}

    @property
    def code_system(self) -> str:
        """Code system of the labels, such as ``scp`` or ``snomed``; empty if there are no labels."""
        return str(self.attributes.get("code_system", ""))

    @property
    def archives(self) -> tuple[str, ...]:
        """The published archives that the records come from; of an older store, its dataset."""
        return tuple(map(str, self.attributes.get("archives", [self.attributes["dataset"]])))

    @property
    def chunk_records(self) -> int:
        """Number of records per chunk, the unit of fast reading."""
        return int(self._array.chunks[0])

    @cached_property
    def table(self) -> WideTable:
        """The record table, one row per record in the order of the signals. Columns are read when they are asked for.

        Raises:
            StoreError: The table cannot be read, or is not the one that was stored. Reading a column raises it too.
        """
        return open_table(self.path, self.attributes)

    @cached_property
    def _columns(self) -> dict[str, NDArray[Any]]:
        """The columns that reading a signal needs, as arrays, which are several times as fast as those of a frame."""
        return self._arrays(OF_SIGNAL)

    @cached_property
    def _facts(self) -> dict[str, NDArray[Any]]:
        """The columns that a `Recording` needs."""
        return self._arrays((*OF_SIGNAL, *OF_RECORDING))

    def _arrays(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        found = self.table[[name for name in names if name in self.table]]
        return {str(name): column.to_numpy() for name, column in found.items()}

    @cached_property
    def _shards(self) -> ShardReader:
        return ShardReader(self.path, self._array)

    @cached_property
    def quality(self) -> Measures:
        """Each of `ecgkit.signal.quality.MEASURES` as float32 ``[R, L]``, NaN for a lead that a record lacks."""
        table = self._read(fmt.QUALITY, read_frame)
        return {name: table[[f"{name} {lead}" for lead in self.leads]].to_numpy(np.float32) for name in MEASURES}

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The records that could not be ingested: record_id, path, stage, reason."""
        return self._read(fmt.LEDGER, read_frame)

    @cached_property
    def patients(self) -> NDArray[np.object_]:
        """``[R]``: the patient of each record as ``DATASET:ID``, the same in every store; None if unknown."""
        return np.array(qualified(str(self.attributes["dataset"]), self.table["patient_id"]), object)

    @cached_property
    def units(self) -> NDArray[np.object_]:
        """``[R]``: what each record belongs to: its patient, as in `patients`, or its recording if that is unknown.

        Windows that were cut from one recording belong together.
        """
        recordings = qualified(str(self.attributes["dataset"]), recordings_of(self.table["record_id"]))
        pairs = zip(self.patients, recordings, strict=True)
        return np.array([f"recording {own}" if patient is None else patient for patient, own in pairs], object)

    def __len__(self) -> int:
        return len(self.table)

    def stored(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return records `start` to `stop` as stored: int16 ``[n, L, T]``, T the length of the longest of them.

        A count is a microvolt, unless the record has a scaling; see `scaling`.
        """
        slots = self._slots[start:stop]
        if not len(slots):
            return np.empty((0, *self._array.shape[1:]), np.int16)
        longest = int(self._columns["samples"][start:stop].max())
        block = self._signals(slice(slots[0], slots[-1] + 1), slice(0, longest))
        # Slots of dropped records may lie between those of the records.
        return block if len(block) == len(slots) else block[slots - slots[0]]

    def _signals(self, slots: slice | int, time: slice) -> NDArray[np.int16]:
        shards = self._fetched(slots)

        def read(part: Path) -> NDArray[np.int16]:
            if not (isinstance(slots, slice) and self._shards.is_able):
                return np.asarray(self._array[slots, :, time])
            return self._shards.read(slots.start, slots.stop)[..., time]

        try:
            return self._read("signal", read)
        except StoreError as error:
            raise error if self._pieces is None else self._pieces.damaged(error, shards) from None

    def _fetched(self, slots: slice | int) -> list[str]:
        """Return the shards of some slots, after fetching those that a copy of a remote store lacks."""
        if self._pieces is None:
            return []
        first, last = (slots, slots) if isinstance(slots, int) else (slots.start, slots.stop - 1)
        size = int(self._array.shards[0])
        shards = [fmt.shard_path(index) for index in range(first // size, last // size + 1)]
        self._pieces.fetch(shards, may_lack=True)
        return shards

    def verified(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return records as `stored` does, after comparing each with its stored hash.

        Raises:
            StoreError: A record differs from what was stored.
        """
        block = self.stored(start, stop)
        for row, signal in enumerate(block, start):
            self._check(row, signal)
        return block

    def signals(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return records as `verified` does, in mV: float32 ``[n, L, T]``, NaN for a missing sample."""
        block = self.verified(start, stop)
        signals: NDArray[np.float32] = decode(block)
        for n, row in enumerate(range(start, stop)):
            scaling = self.scaling(row)
            if scaling is not None:
                rows = self._rows_of(row)
                signals[n, rows] = decode(block[n, rows], scaling=scaling)
        return signals

    def millivolts(
        self, block: NDArray[np.int16], first: int, chosen: NDArray[np.int64], leads: NDArray[np.int64], samples: int
    ) -> NDArray[np.float32]:
        """Convert some leads of some records that are read, in one pass; the numbers are those of `signals`.

        Args:
            block: ``[n, L, T]``, records as `verified` returns them.
            first: Row of the first of them.
            chosen: ``[k]``, places in the block.
            leads: ``[l]``, places on the store's lead axis.
            samples: Number of samples, from the first on.

        Returns:
            ``[k, l, samples]`` in mV, NaN for a missing sample.
        """
        from ecgkit.signal import microvolts_kernel  # numba is slow to import

        signal = np.empty((len(chosen), len(leads), samples), np.float32)
        microvolts_kernel.decode_leads(block, chosen, leads, signal)
        for n, place in enumerate(chosen if fmt.STEPS in self._columns else ()):
            scaling = self.scaling(first + int(place))
            if scaling is not None:
                rows = self._rows_of(first + int(place))
                for k, lead in enumerate(leads):
                    if lead in rows:
                        own = scaling.of([rows.index(int(lead))])
                        signal[n, k : k + 1] = decode(block[place, lead : lead + 1, :samples], scaling=own)
        return signal

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the records from `start` to `stop` in runs that need little memory: at most a chunk of records each.

        A record that is much longer than its neighbours is a run of its own.
        """
        lengths = self._columns["samples"]
        first, longest, real = start, 0, 0
        for row in range(start, stop):
            longest, real = max(longest, int(lengths[row])), real + int(lengths[row])
            is_full = row - first == self.chunk_records
            if row > first and (is_full or longest * (row + 1 - first) > max(self._array.chunks[2], 1.5 * real)):
                yield first, row
                first, longest, real = row, int(lengths[row]), int(lengths[row])
        if first < stop:
            yield first, stop

    def scaling(self, row: int) -> Scaling | None:
        """Return what the counts of a record's leads stand for; None if they are whole microvolts."""
        if fmt.STEPS not in self._columns:
            return None
        return fmt.scaling_of({name: column[row] for name, column in self._columns.items()})

    def _rows_of(self, row: int) -> list[int]:
        """Return the rows of a record's leads on the lead axis, in the record's order."""
        return [self.leads.index(lead) for lead in self._columns["leads"][row]]

    def _check(self, row: int, signal: NDArray[np.int16]) -> None:
        """Compare a record ``[L, T]`` with its hash."""
        samples = int(self._columns["samples"][row])
        found = fmt.waveform_hash(signal, self._rows_of(row), samples, self.scaling(row))
        if found == self._columns["sha256"][row]:
            return
        shard = fmt.shard_path(int(self._slots[row]) // int(self._array.shards[0]))
        error = damaged(self.path, str(self._columns["record_id"][row]), self.path / shard)
        raise error if self._pieces is None else self._pieces.damaged(error, [shard])

    def _read(self, part: str, reader: Callable[[Path], T]) -> T:
        return read_part(self.path / part, reader)

    def row(self, record_id: str) -> int:
        """Return the row of a record.

        Raises:
            StoreError: No record has this id.
        """
        rows = np.flatnonzero(self.table["record_id"] == record_id)
        if not len(rows):
            ids = ", ".join(self.table["record_id"].head(3))
            raise StoreError(f"{self.path} has no record {record_id!r}", f"an id such as {ids}")
        return int(rows[0])

    def recording(self, row: int, start: int = 0, stop: int | None = None) -> Recording:
        """Return one record with its own leads and length, or a stretch of it.

        The whole record is compared with its hash, once per process. A stretch is then read by itself.

        Args:
            row: Row of the record.
            start: First sample.
            stop: Sample after the last one; None for the end.

        Raises:
            StoreError: The record differs from what was stored.
        """
        record = {name: column[row] for name, column in self._facts.items()}
        rows, slot = self._rows_of(row), int(self._slots[row])
        start, stop, _ = slice(start, stop).indices(int(record["samples"]))
        if row in self._sound:
            stored = self._signals(slot, slice(start, stop))
        else:
            whole = self._signals(slot, slice(0, int(record["samples"])))
            self._check(row, whole)
            self._sound.add(row)
            stored = whole[:, start:stop]
        return recording_of(record, stored[rows], start)

    def present(self, leads: Sequence[str]) -> NDArray[np.bool_]:
        """Return bool ``[R, len(leads)]``: whether a record has a lead."""
        have = self.table["leads"].map(set)
        return np.array([[lead in record for lead in leads] for record in have], bool).reshape(-1, len(leads))


def recording_of(record: Mapping[str, Any], stored: NDArray[np.int16], start: int) -> Recording:
    """Return a recording, or a stretch of it.

    Args:
        record: Its row of the record table.
        stored: int16 ``[L, T]``, the stored samples of its leads from `start` on.
        start: First sample.
    """
    rpeaks = None if record["rpeaks"] is None else np.asarray(record["rpeaks"], np.int64)
    stop = start + stored.shape[1]
    return Recording(
        stored,
        float(record["fs"]),
        tuple(record["leads"]),
        str(record["unit"]),
        tuple(record["source_leads"]),
        tuple(record["derived_leads"]),
        tuple(record["other_signals"]),
        rpeaks=None if rpeaks is None else rpeaks[(rpeaks >= start) & (rpeaks < stop)] - start,
        scaling=fmt.scaling_of(record),
    )


def open_array(folder: Path) -> Any:
    """Open the array of a store for reading."""
    import zarr  # slow to import, and not needed for files without a store

    return zarr.open_array(folder, mode="r")


@lru_cache(maxsize=1)
def _reopen(path: Path, content_hash: str) -> Store:
    """Open a store that another process has open. The result is cached for all calls in this process."""
    store = Store(path)
    if store.content_hash != content_hash:
        raise StoreError(f"{path} was replaced by another store in the meantime", remedy="Start again.")
    return store
