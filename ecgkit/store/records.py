"""The records of a store one at a time. Opening a store takes as long for a million records as for a thousand.

`ecgkit.store.reader.Store` holds the whole record table as a frame, which fits computing over all records. A
`RecordTable` reads the first rows, and the rest of the table only when something asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.parquet import LongTable, as_frame
from ecgkit.recording import Recording
from ecgkit.store import format as fmt
from ecgkit.store.opening import REMAKE, damaged, read_attributes, read_part, table_file
from ecgkit.store.reader import open_array, recording_of
from ecgkit.store.remote import pieces_of


@dataclass(frozen=True)
class Items:
    """Which records hold which items of a list column, such as labels or flags.

    Args:
        names: The items, sorted.
        records: Number of records of the store, R.
        codes: Index of an item in `names`, for each item of each record.
        rows: The record of each of `codes`, of the same length.
    """

    names: tuple[str, ...]
    records: int
    codes: NDArray[np.int64]
    rows: NDArray[np.int64]

    def has(self, name: str) -> NDArray[np.bool_]:
        """Return which records hold an item, bool ``[R]``."""
        found = np.zeros(self.records, bool)
        found[self.rows[self.codes == self.names.index(name)]] = True
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Number of records by item, the most frequent first."""
        pairs = np.unique(self.codes * self.records + self.rows) // max(self.records, 1)
        counts = np.bincount(pairs, minlength=len(self.names))
        return {self.names[i]: int(counts[i]) for i in np.argsort(-counts, kind="stable")}


class RecordTable:
    """The records of a finished store.

    Args:
        path: The store's folder.

    Raises:
        StoreError: `path` is not a store, has a newer format, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attributes = read_attributes(path)
        self.leads: tuple[str, ...] = tuple(self.attributes["leads"])
        self._series: dict[str, pd.Series[Any]] = {}
        self._items: dict[str, Items] = {}
        self._sound: set[int] = set()  # rows of records that were compared with their hashes
        # Only a relabelling that was killed leaves a second table, and then hashes say which is meant.
        unclear = (path / fmt.NEW_RECORDS).is_file()
        self._table = read_part(table_file(path, self.attributes) if unclear else path / fmt.RECORDS, LongTable)
        if len(self) != self.attributes["records"]:
            raise StoreError(f"{path} has {len(self)} rows for {self.attributes['records']} records", remedy=REMAKE)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def content_hash(self) -> str:
        """Hash over all waveforms and the record table."""
        return str(self.attributes["content_sha256"])

    def read(self) -> None:
        """Read the whole record table, and compare it with its hash.

        Raises:
            StoreError: The table cannot be read, or is not the one that was stored.
        """
        if self._table.is_read:
            return
        if table_file(self.path, self.attributes) != self._table.path:
            raise StoreError(f"{self._table.path} has been changed since the store was opened", remedy="Open it again.")
        read_part(self._table.path, lambda path: self._table.read())

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """Columns that hold a list per record, such as labels and flags."""
        return tuple(field.name for field in self._table.schema if _is_list(field.type))

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All columns."""
        return tuple(self._table.schema.names)

    def series(self, name: str) -> "pd.Series[Any]":
        """Return a column of one value per record, as `Store.table` holds it."""
        if name not in self._series:
            self._series[name] = as_frame(self._table.read().select([name]))[name]
        return self._series[name]

    def frame(self, columns: Sequence[str], rows: NDArray[np.integer]) -> pd.DataFrame:
        """Return some columns of some records."""
        return as_frame(self._table.take(rows, columns))

    def items(self, name: str) -> Items:
        """Return which records hold which items of a list column."""
        if name not in self._items:
            self._items[name] = _items(self._table.column(name))
        return self._items[name]

    def containing(self, name: str, text: str) -> NDArray[np.bool_]:
        """Return which records have a text in a text column, whatever the case: bool ``[R]``."""
        column = self._table.column(name)
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return np.zeros(len(self), bool)
        found = pc.match_substring(column, text, ignore_case=True).fill_null(False)
        return np.asarray(found.to_numpy(zero_copy_only=False), bool)

    def places(self, record_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the row of each of some records, -1 for a record that the store lacks."""
        self.read()
        ids = self._table.column("record_id")
        found = pc.index_in(pa.array(list(record_ids), ids.type), value_set=ids).fill_null(-1)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)

    def rows(self, rows: NDArray[np.integer], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return records as plain values by column, in the given order."""
        return list(self._table.take(rows, columns).to_pylist())

    def recording(self, row: int, start: int = 0, stop: int | None = None) -> Recording:
        """Return one record with its own leads and length, or a stretch of it.

        The whole record is compared with its hash, once. A stretch is then read by itself.

        Args:
            row: Row of the record.
            start: First sample.
            stop: Sample after the last one; None for the end.

        Raises:
            StoreError: The record cannot be read, or differs from what was stored.
        """
        record = self.rows(np.array([row]))[0]
        slot, samples = int(record["slot"]), int(record["samples"])
        start, stop, _ = slice(start, stop).indices(samples)
        time = slice(start, stop) if row in self._sound else slice(0, samples)
        array: Any = read_part(self.path / "signal", open_array)
        shard, pieces = fmt.shard_path(slot // int(array.shards[0])), pieces_of(self.path)
        if pieces is not None:
            pieces.fetch([shard], may_lack=True)
        stored = read_part(self.path / "signal", lambda path: np.asarray(array[slot, :, time]))
        held = [self.leads.index(lead) for lead in record["leads"]]
        if row in self._sound:
            return recording_of(record, stored[held], start)
        if fmt.waveform_hash(stored, held, samples, fmt.scaling_of(record)) != record["sha256"]:
            error = damaged(self.path, str(record["record_id"]), self.path / shard)
            raise error if pieces is None else pieces.damaged(error, [shard])
        self._sound.add(row)
        return recording_of(record, stored[held][:, start:stop], start)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


def _items(column: pa.ChunkedArray) -> Items:
    records = len(column)
    column = pa.chunked_array([column.combine_chunks()]) if column.num_chunks != 1 else column
    lists = column.chunk(0)
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    coded = pc.dictionary_encode(pc.list_flatten(lists))
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    texts = [str(item) for item in coded.dictionary.to_pylist()]
    names = tuple(sorted(set(texts)))
    place = np.array([names.index(text) for text in texts] or [0], np.int64)
    known = codes >= 0
    return Items(names, records, place[codes[known]], rows[known])
