"""Reports of a store, or of any CSV table with a column of texts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ecgkit.errors import DatasetError, StoreError
from ecgkit.store.reader import Store

FOLDER = "knowledge"  # inside a store
TABLE_SUFFIXES = (".csv", ".gz")


@dataclass(frozen=True)
class Reports:
    """Reports in the order of their records.

    Args:
        ids: Record ids, ``[R]``.
        texts: Reports, ``[R]``; empty for a record without one.
        folder: Folder for what is extracted from them.
        content_hash: Hash that labels are bound to: that of the store, or one over the ids and texts of a table.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    folder: Path
    content_hash: str

    def __len__(self) -> int:
        return len(self.ids)


def open_reports(path: Path, *, column: str = "report", id_column: str = "", folder: Path | None = None) -> Reports:
    """Open the reports of a store or of a CSV table.

    Args:
        path: A store, or a CSV file, which may be gzipped.
        column: Column of texts.
        id_column: Column of ids of a CSV file; its first column if empty.
        folder: Folder for a table's results; ``NAME.knowledge`` beside it by default. A store has its own folder.

    Raises:
        StoreError: `path` is not a store.
        DatasetError: `path` is not a table, lacks the column, or contains no report.
    """
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        return _of_table(path, column, id_column, folder)
    return of_store(Store(path), column=column)


def of_store(store: Store, *, column: str = "report") -> Reports:
    """Return the reports of an open store.

    Raises:
        StoreError: Its record table has no such column, or the column contains no report.
    """
    if column not in store.table:
        raise StoreError(f"{store.path} has no column {column!r}", f"one of {', '.join(map(str, store.table.columns))}")
    texts = tuple(text if isinstance(text, str) else "" for text in store.table[column])
    if not any(text.strip() for text in texts):
        raise StoreError(f"{store.path} contains no reports", "a dataset with reports, such as MIMIC-IV-ECG or PTB-XL")
    return Reports(tuple(map(str, store.table["record_id"])), texts, store.path / FOLDER, store.content_hash)


def _of_table(path: Path, column: str, id_column: str, folder: Path | None) -> Reports:
    from ecgkit.datasets.tables import read_rows

    rows = read_rows(path, [column, *([id_column] if id_column else [])])
    ids = tuple(str(row[id_column or next(iter(row))]) for row in rows)
    texts = tuple(row[column] or "" for row in rows)
    if not any(text.strip() for text in texts):
        raise DatasetError(f"column {column!r} of {path} contains no text", remedy="Name another with --column.")
    return Reports(ids, texts, folder or path.with_name(f"{path.name.split('.')[0]}.knowledge"), _hash(ids, texts))


def _hash(ids: Sequence[str], texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in (part for pair in zip(ids, texts, strict=True) for part in pair):
        digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()
