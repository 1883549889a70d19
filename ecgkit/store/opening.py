"""What is read of a store first: its attributes, and where its record table is. Errors of a store that is damaged."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow.parquet as pq

from ecgkit.addresses import address_of, shown
from ecgkit.errors import StoreError
from ecgkit.parquet import WideTable, as_frame, read_frame
from ecgkit.store import format as fmt

REMAKE = "Ingest it again with --overwrite."

T = TypeVar("T")


def read_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a store.

    Raises:
        StoreError: `path` is not a store, or has a newer format.
    """
    expected = "a store made by 'ecgkit ingest'"
    if (address := address_of(path)) is not None:
        raise StoreError(
            f"{shown(address)} is a remote address, and here a folder of this machine is needed",
            remedy="Copy the store to this machine, with 'aws s3 sync' or 'rclone copy'.",
        )
    if not path.exists():
        aside = path.absolute().with_name(f".{path.name}.replaced")
        if aside.exists():
            remedy = f"Repeat that command, or bring the earlier store back with: mv {aside} {path}"
            raise StoreError(f"{path} was being replaced by 'ecgkit ingest --overwrite', which was killed", "", remedy)
        raise StoreError(f"{path} does not exist", expected, "Make it with: ecgkit ingest SRC --out STORE")
    try:
        meta = json.loads((path / fmt.META).read_text(encoding="utf-8"))
        attributes = dict(meta["attributes"])
    except (OSError, ValueError, KeyError, TypeError):
        attributes = {}
    if attributes.get("format") != fmt.FORMAT or "leads" not in attributes or not (path / fmt.RECORDS).is_file():
        raise StoreError(f"{path} is not a store", expected, "Make one with: ecgkit ingest SRC --out STORE")
    if missing := [name for name in ("dataset", "records", "content_sha256") if name not in attributes]:
        raise StoreError(f"{path / fmt.META} is damaged: it has no {missing[0]}", "", "Restore it, or ingest again.")
    if attributes.get("version") not in (fmt.PLAIN_VERSION, fmt.VERSION):
        raise StoreError(
            f"{path} has format version {attributes.get('version')}",
            f"version {fmt.PLAIN_VERSION} or {fmt.VERSION}",
            "Ingest it again, or use the release of ecgkit that wrote it.",
        )
    return attributes


def read_part(part: Path, reader: Callable[[Path], T]) -> T:
    """Read a part of a store. Any error that a library raises for a damaged file becomes one clear error.

    Raises:
        StoreError: The part cannot be read.
    """
    try:
        return reader(part)
    except Exception as error:  # each library raises its own errors
        cause = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise StoreError(f"{part} cannot be read ({cause})", remedy=REMAKE) from None


def table_file(path: Path, attributes: Mapping[str, Any]) -> Path:
    """Return the file of a store's record table.

    Args:
        path: The store.
        attributes: Its attributes.

    Raises:
        StoreError: The table cannot be read, or is not the one that was stored.
    """
    table, new = path / fmt.RECORDS, path / fmt.NEW_RECORDS
    expected = attributes.get("records_sha256")  # stores of earlier releases have none
    if not expected or read_part(table, fmt.file_hash) == expected:
        return table
    # 'ecgkit relabel' was killed at its last step, or the table was changed by other means.
    if new.is_file() and read_part(new, fmt.file_hash) == expected:
        return new
    read_part(table, read_frame)
    raise StoreError(
        f"{table} has been changed since the store was made",
        remedy=f"{REMAKE} To change labels or other facts: ecgkit relabel {path} TABLE",
    )


def open_table(path: Path, attributes: Mapping[str, Any]) -> WideTable:
    """Open a store's record table, whose columns are read when they are asked for.

    Args:
        path: The store.
        attributes: Its attributes.

    Raises:
        StoreError: The table cannot be read, or is not the one that was stored. Reading a column raises it too.
    """
    table = table_file(path, attributes)
    # The file stays open, so that all columns are of this table, even if 'ecgkit relabel' replaces it in the meantime.
    file = read_part(table, lambda part: pq.ParquetFile(part, page_checksum_verification=True))

    def read(names: list[str]) -> pd.DataFrame:
        return read_part(table, lambda _: as_frame(file.read(names)))

    return WideTable(file.schema_arrow.names, file.metadata.num_rows, read)


def damaged(path: Path, record_id: str, shard: Path) -> StoreError:
    """Return the error for a record of a store that differs from its hash."""
    cause = "its signal, its leads or its row have changed" if shard.exists() else "the file does not exist"
    return StoreError(f"record {record_id} of {path} is damaged in {shard}: {cause}", remedy=REMAKE)
