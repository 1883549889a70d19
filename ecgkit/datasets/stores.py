"""A folder of stores as one dataset, so that one model can be trained on all of them.

Every record keeps its signal, sampling rate, unit, fold and columns. Ids become ``DATASET:ID``, because two datasets
may use the same ids; two stores of one dataset share its patients. R peaks, entities and views belong to the rows of a
store, so they must be made again for the new store.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.datasets.base import RESERVED, Dataset, Source
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import check_inside, is_local
from ecgkit.datasets.spool import BLOCK, Spool
from ecgkit.errors import DatasetError, RecordError, StoreError
from ecgkit.recording import Recording
from ecgkit.store.format import FORMAT
from ecgkit.store.identity import JOINED, qualified
from ecgkit.store.reader import Store

ARRAY = "zarr.json"
OF_HEADER = ("fs", "samples", "leads", "unit", "source_leads", "other_signals")
MIXED = "mixed"  # code system of stores with different code systems; no task reads it


class Stores(Dataset):
    """Stores made by ``ecgkit ingest`` that lie side by side in a folder."""

    name = JOINED

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds stores and is not a store itself."""
        return is_local(root) and not (root / ARRAY).is_file() and bool(_stores(root))

    @cached_property
    def stores(self) -> dict[str, Store]:
        """The stores by the names of their folders, in order."""
        names = _stores(self.root)
        try:
            for name in names:
                check_inside(self.root, name)
            return {name: Store(self.root / name) for name in names}
        except (StoreError, RecordError) as error:
            raise DatasetError(str(error)) from None

    @cached_property
    def code_system(self) -> str:  # type: ignore[override]
        """The code system of the labels of all stores; `MIXED` if the stores differ."""
        systems = {store.code_system for store in self.stores.values()}
        return systems.pop() if len(systems) == 1 else MIXED

    @property
    def archives(self) -> tuple[str, ...]:  # type: ignore[override]
        """The archives of all stores."""
        return tuple(sorted({archive for store in self.stores.values() for archive in store.archives}))

    def sources(self) -> Sequence[Source]:
        """List the records of all stores."""
        return Spool(source for name, store in self.stores.items() for source in _sources(name, store))

    def header(self, source: Source) -> Header:
        """Return the header of a record, from the record table."""
        store = self.stores[source.path]
        row = int(source.extra["store_row"])
        record: dict[str, Any] = {name: store.table[name].iat[row] for name in OF_HEADER}
        return Header(
            fs=float(record["fs"]),
            samples=int(record["samples"]),
            leads=tuple(record["leads"]),
            unit=str(record["unit"]),
            source_leads=tuple(record["source_leads"]),
            other=tuple(record["other_signals"]),
            layout=row,
        )

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record, and compare it with its stored hash."""
        try:
            return self.stores[source.path].recording(header.layout)
        except StoreError as error:
            raise RecordError(str(error)) from None


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store of ecgkit, and not another Zarr array."""
    metadata = folder / ARRAY
    return metadata.is_file() and FORMAT.encode() in metadata.read_bytes()


def _stores(root: Path) -> list[str]:
    return sorted(folder.name for folder in root.iterdir() if is_store(folder))


def _sources(name: str, store: Store) -> Iterator[Source]:
    """Yield the records of a store. A column that is empty in all of them, such as features of others, is left out."""
    kept = [column for column in store.table if column in RESERVED or store.table[column].notna().any()]
    ids = qualified(str(store.attributes["dataset"]), store.table["record_id"])
    rows = _rows(store.table[kept])
    for number, (record_id, patient, row) in enumerate(zip(ids, store.patients, rows, strict=True)):
        yield Source(
            record_id=record_id,
            path=name,
            patient_id=patient,
            labels=tuple(row["labels"]),
            likelihoods=None if row["likelihoods"] is None else tuple(row["likelihoods"]),
            report=_known(row["report"]),
            age=_known(row["age"]),
            sex=_known(row["sex"]),
            fold=int(row["fold"]),
            extra={
                **{column: _known(value) for column, value in row.items() if column not in RESERVED},
                "store_row": number,
                "store_path": row["path"],
            },
        )


def _rows(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, some of which are dictionaries at a time: there may be thousands of columns."""
    for start in range(0, len(table), BLOCK):
        yield from table.iloc[start : start + BLOCK].to_dict("records")  # type: ignore[misc]


def _known(value: Any) -> Any:
    """Return a cell's value; None for a missing one."""
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value
