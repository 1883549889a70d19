"""``ecgkit.relabel``: change labels, reports, patients, folds and other facts of a store, with a log."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ecgkit.api.arguments import PathLike
from ecgkit.datasets.identity import plain_id
from ecgkit.datasets.people import codes_of
from ecgkit.datasets.tables import read_table
from ecgkit.errors import DatasetError
from ecgkit.store import format as fmt
from ecgkit.store.reader import Store
from ecgkit.store.relabelling import Change, as_column, relabel_store

RECORD_ID, PATIENT_ID = "record_id", "patient_id"


def relabel(store: PathLike, table: PathLike, *, record_column: str = RECORD_ID) -> Change:
    """Change facts of a store's records: labels, reports, patients, folds, or any other column that is not the signal.

    The store gets a new content hash, so results before and after can be told apart, and a line in ``changes.jsonl``.

    Args:
        store: The store.
        table: CSV, TSV, Parquet or Excel table with one row per record. Its columns are named as those of the store.
            Records that it does not list keep their values; an empty cell empties the value.
        record_column: Column of the table that holds the record's id.

    Returns:
        Number of records changed, by column, and the hashes before and after.

    Raises:
        StoreError: A record or column is unknown, a value does not fit, or a patient would be in several folds.
        DatasetError: The table cannot be read, or lists a record twice.
        OutputError: The store cannot be written.
    """
    opened, path = Store(Path(store)), Path(table)
    found = read_table(path)
    if record_column not in found.columns:
        raise DatasetError(
            f"{path} has no column {record_column!r}",
            f"one of {', '.join(found.columns)}"[:300],
            "Name the column of record ids with --record-column.",
        )
    ids = [cell or "" for cell in found.column(record_column)]
    if len(set(ids)) < len(ids):
        twice = next(record for n, record in enumerate(ids) if record in ids[:n])
        raise DatasetError(f"{path} lists record {twice!r} twice", "one row per record")
    schema = pq.read_schema(opened.path / fmt.RECORDS)
    types = {name: schema.field(name).type for name in schema.names}
    values: dict[str, dict[str, Any]] = {}
    for name in found.columns:
        cells = map(plain_id, found.column(name)) if name == PATIENT_ID else found.column(name)
        if name != record_column:
            values[name] = {
                record: as_column(name, types[name], cell, codes_of) if name in types else None
                for record, cell in zip(ids, cells, strict=True)
            }
    return relabel_store(opened.path, values, {"file": path.name, "sha256": fmt.file_hash(path)})
