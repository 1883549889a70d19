"""Reading a store."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.recording import Recording
from ecgkit.store import format as fmt
from ecgkit.store.writer import LEDGER, RECORDS


class Store:
    """A finished store, opened for reading.

    Args:
        path: The store's folder.

    Raises:
        StoreError: `path` is not a store, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.attributes = _attributes(path)
        self.leads: tuple[str, ...] = tuple(self.attributes["leads"])
        array = zarr.open_array(path / "signal", mode="r")
        self._array: Any = array

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def content_hash(self) -> str:
        """Hash over all waveforms and the record table."""
        return str(self.attributes["content_sha256"])

    @property
    def code_system(self) -> str:
        """What the labels are written in, such as ``scp`` or ``snomed``; empty where there are none."""
        return str(self.attributes.get("code_system", ""))

    @property
    def chunk_records(self) -> int:
        """How many records a chunk holds: the unit in which reading is fast."""
        return int(self._array.chunks[0])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The record table, one row a record in the order of the signals."""
        return pd.read_parquet(self.path / RECORDS)

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """The records that could not be taken in: record_id, path, stage, reason."""
        return pd.read_parquet(self.path / LEDGER)

    def __len__(self) -> int:
        return int(self._array.shape[0])

    def stored(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return records `start` to `stop` as stored: int16 ``[n, L, T]`` in microvolts."""
        return np.asarray(self._array[start:stop])

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

    def recording(self, row: int) -> Recording:
        """Return one record with the leads and the length that it has."""
        record = self.table.iloc[row]
        signal = fmt.decode(self.stored(row, row + 1)[0])[:, : record["samples"]]
        leads = tuple(record["leads"])
        return Recording(
            signal[[self.leads.index(lead) for lead in leads]],
            float(record["fs"]),
            leads,
            str(record["unit"]),
            tuple(record["source_leads"]),
            tuple(record["derived_leads"]),
            tuple(record["other_signals"]),
            rpeaks=None if record["rpeaks"] is None else np.asarray(record["rpeaks"], np.int64),
        )

    def present(self, leads: Sequence[str]) -> NDArray[np.bool_]:
        """Return ``[R, len(leads)]``: which record has which lead."""
        have = self.table["leads"].map(set)
        return np.array([[lead in record for lead in leads] for record in have], bool).reshape(-1, len(leads))


def _attributes(path: Path) -> dict[str, Any]:
    expected = "a store made by 'ecgkit ingest'"
    if not path.exists():
        raise StoreError(f"{path} does not exist", expected, "Make it with: ecgkit ingest SRC --out STORE")
    try:
        meta = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        attributes = dict(meta["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        attributes = {}
    if attributes.get("format") != fmt.FORMAT or not (path / RECORDS).is_file():
        raise StoreError(f"{path} is not a store", expected, "Make one with: ecgkit ingest SRC --out STORE")
    if attributes.get("version") != fmt.VERSION:
        raise StoreError(
            f"{path} has format version {attributes.get('version')}",
            f"version {fmt.VERSION}",
            "Ingest it again, or use the release of ecgkit that wrote it.",
        )
    return attributes
