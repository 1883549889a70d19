"""A store that reads like a list: ``ecgkit.open_store(PATH)``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.remote import located

if TYPE_CHECKING:
    from ecgkit.arrays.windows import WindowDataset


class Ecg(NamedTuple):
    """One record; ``encoder(*ecg)`` returns its features.

    Attributes:
        signal: float64 ``[L, T]`` in mV (in the source's own unit for ``NU``), NaN for a missing sample.
        fs: Sampling rate in Hz.
        leads: Names of the L rows.
        unit: ``mV``, or ``NU`` if the source gives no physical unit.
    """

    signal: NDArray[np.floating]
    fs: float
    leads: tuple[str, ...]
    unit: str


class EcgStore:
    """The records of a store, or a selection of them.

    ``store[7]`` is a record. ``store[:100]``, ``store[mask]`` and ``store[rows]`` are stores with fewer records; no
    signal is copied.

    Args:
        store: The opened store.
        rows: Rows of the store to use, in this order; None for all.
    """

    def __init__(self, store: Store, rows: NDArray[np.int64] | None = None) -> None:
        self.store = store
        self.rows: NDArray[np.int64] = np.arange(len(store)) if rows is None else rows

    def __repr__(self) -> str:
        part = "" if len(self) == len(self.store) else f" of {len(self.store)}"
        return f"<store {self.store.name!r}: {len(self)}{part} records, leads {', '.join(self.leads)}>"

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, key: int) -> Ecg: ...
    @overload
    def __getitem__(self, key: Any) -> "EcgStore": ...
    def __getitem__(self, key: Any) -> "Ecg | EcgStore":
        """Return one record by its number, or several by a slice, by numbers, or by a bool mask.

        Raises:
            IndexError: The number is too large.
            StoreError: The key has another type.
        """
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            return self._ecg(int(self.rows[key]))
        if isinstance(key, slice):
            return EcgStore(self.store, self.rows[key])
        chosen = np.asarray(key)
        if chosen.ndim != 1 or (chosen.dtype.kind not in "iub" and len(chosen)):
            hint = f"To get a record by its id: store.signal({key!r})." if isinstance(key, str) else ""
            raise StoreError(
                f"records cannot be selected by {key!r:.60}", "a number, a slice, numbers, or a bool mask", hint
            )
        if chosen.dtype.kind == "b" and len(chosen) != len(self):
            raise StoreError(f"the mask has {len(chosen)} values for {len(self)} records", "one bool per record")
        return EcgStore(self.store, self.rows[chosen if len(chosen) else chosen.astype(np.int64)])

    @property
    def leads(self) -> tuple[str, ...]:
        """Leads that any of the store's records has."""
        return self.store.leads

    @property
    def table(self) -> pd.DataFrame:
        """The record table, one row per record, numbered from 0: ids, fold, labels, report, fs, samples, leads, ..."""
        return self.store.table.frame().iloc[self.rows].reset_index(drop=True)

    def signal(self, record_id: str) -> Ecg:
        """Return a record by its id, in mV with its leads and rate; unpack it with ``signal, fs, leads, unit = ...``.

        Raises:
            StoreError: No record of the store has this id.
        """
        return self._ecg(self.store.row(str(record_id)))

    def dataset(self, spec: SignalSpec, *, epoch: int | None = None, seed: int = 0) -> "WindowDataset":
        """Return a torch Dataset of the records under a signal contract, such as ``encoder.spec``.

        Args:
            spec: The signal contract.
            epoch: Epoch whose training crops to use; None uses the first evaluation crop.
            seed: Random seed of the training crops.

        Raises:
            LeadError: The store has none of the contract's leads.
        """
        from ecgkit.arrays.windows import WindowDataset  # torch is slow to import

        return WindowDataset(self.store, self.rows, spec, epoch=epoch, seed=seed)

    def _ecg(self, row: int) -> Ecg:
        recording = self.store.recording(row)
        return Ecg(recording.signal, recording.fs, recording.leads, recording.unit)


def open_store(path: str | Path) -> EcgStore:
    """Open a store that ``ecgkit ingest`` made.

    Raises:
        StoreError: `path` is not a store, or a damaged one.
    """
    return EcgStore(Store(located(path)))
