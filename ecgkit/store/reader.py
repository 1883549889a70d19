"""Reading stores."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.parquet import read_frame
from ecgkit.recording import Recording
from ecgkit.signal.quality import MEASURES, Measures
from ecgkit.store import format as fmt
from ecgkit.store.identity import qualified

REMAKE = "Ingest it again with --overwrite."

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
        self.attributes = _attributes(path)
        self.leads: tuple[str, ...] = tuple(self.attributes["leads"])
        self._array: Any = self._read("signal", lambda part: zarr.open_array(part, mode="r"))
        self._slots = self.table["slot"].to_numpy(np.int64)
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
    def chunk_records(self) -> int:
        """Number of records per chunk, the unit of fast reading."""
        return int(self._array.chunks[0])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The record table, one row per record in the order of the signals."""
        return self._read(fmt.RECORDS, read_frame)

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

    def __len__(self) -> int:
        return len(self.table)

    def stored(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return records `start` to `stop` as stored: int16 ``[n, L, T]`` in microvolts."""
        slots = self._slots[start:stop]
        if not len(slots):
            return np.empty((0, *self._array.shape[1:]), np.int16)
        block = self._read("signal", lambda part: np.asarray(self._array[slots[0] : slots[-1] + 1]))
        # Slots of dropped records may lie between those of the records.
        return block if len(block) == len(slots) else block[slots - slots[0]]

    def verified(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return records as `stored` does, after comparing each with its stored hash.

        Raises:
            StoreError: A record differs from what was stored.
        """
        block = self.stored(start, stop)
        records = self.table.iloc[start:stop]
        columns = (records[name].tolist() for name in ("record_id", "leads", "samples", "sha256"))
        for signal, record_id, leads, samples, expected in zip(block, *columns, strict=True):
            rows = [self.leads.index(lead) for lead in leads]
            if fmt.waveform_hash(signal, rows, samples) != expected:
                raise StoreError(f"record {record_id} of {self.path} is damaged: its signal has changed", remedy=REMAKE)
        return block

    def _read(self, part: str, reader: Callable[[Path], T]) -> T:
        """Read a part of the store. Any error that a library raises for a damaged file becomes one clear error."""
        try:
            return reader(self.path / part)
        except Exception as error:  # each library raises its own errors
            cause = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            raise StoreError(f"{self.path / part} cannot be read ({cause})", remedy=REMAKE) from None

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

    def recording(self, row: int, *, verify: bool = False) -> Recording:
        """Return one record with its own leads and length.

        Args:
            row: Row of the record.
            verify: Whether to compare the record with its hash; see `verified`.
        """
        record = self.table.iloc[row]
        leads = tuple(record["leads"])
        read = self.verified if verify else self.stored
        return Recording(
            read(row, row + 1)[0, [self.leads.index(lead) for lead in leads], : record["samples"]],
            float(record["fs"]),
            leads,
            str(record["unit"]),
            tuple(record["source_leads"]),
            tuple(record["derived_leads"]),
            tuple(record["other_signals"]),
            rpeaks=None if record["rpeaks"] is None else np.asarray(record["rpeaks"], np.int64),
        )

    def present(self, leads: Sequence[str]) -> NDArray[np.bool_]:
        """Return bool ``[R, len(leads)]``: whether a record has a lead."""
        have = self.table["leads"].map(set)
        return np.array([[lead in record for lead in leads] for record in have], bool).reshape(-1, len(leads))


@lru_cache(maxsize=1)
def _reopen(path: Path, content_hash: str) -> Store:
    """Open a store that another process has open. The result is cached for all calls in this process."""
    store = Store(path)
    if store.content_hash != content_hash:
        raise StoreError(f"{path} was replaced by another store in the meantime", remedy="Start again.")
    return store


def _attributes(path: Path) -> dict[str, Any]:
    expected = "a store made by 'ecgkit ingest'"
    if not path.exists():
        raise StoreError(f"{path} does not exist", expected, "Make it with: ecgkit ingest SRC --out STORE")
    try:
        meta = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        attributes = dict(meta["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        attributes = {}
    if attributes.get("format") != fmt.FORMAT or "leads" not in attributes or not (path / fmt.RECORDS).is_file():
        raise StoreError(f"{path} is not a store", expected, "Make one with: ecgkit ingest SRC --out STORE")
    if attributes.get("version") != fmt.VERSION:
        raise StoreError(
            f"{path} has format version {attributes.get('version')}",
            f"version {fmt.VERSION}",
            "Ingest it again, or use the release of ecgkit that wrote it.",
        )
    return attributes


def independent_units(table: pd.DataFrame) -> NDArray[np.str_]:
    """Return what each record of a record table belongs to: its patient, or its recording if the patient is unknown.

    Windows that were cut from one recording have its id, followed by ``#`` and their number.
    """
    recordings = table["record_id"].str.replace(r"#[1-9][0-9]*$", "", regex=True)
    return table["patient_id"].fillna("recording " + recordings).to_numpy(dtype=str)
