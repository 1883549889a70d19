"""Reports of a store, or of any CSV table: the texts of one or more columns, by record."""

import fnmatch
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ecgkit.datasets.tables import Row, read_rows
from ecgkit.datasets.tables import text as whole_number
from ecgkit.errors import DatasetError, StoreError
from ecgkit.store.products import own_folder
from ecgkit.store.reader import Store

FOLDER = "knowledge"  # inside a store
TABLE_SUFFIXES = (".csv", ".gz")
ID_COLUMNS = ("record_id", "study_id", "ecg_id")  # of a table, tried in this order; else its first column
# Columns that are read by default: one of reports, else the numbered ones of MIMIC-IV-ECG's machine_measurements.csv.
DEFAULT_COLUMNS = ("report", "report_[0-9]*")


@dataclass(frozen=True)
class Reports:
    """Reports in the order of their records.

    Args:
        ids: Record ids, ``[R]``.
        texts: Reports, ``[R]``; empty for a record without one.
        folder: Folder for what is extracted from them.
        content_hash: Hash that labels are bound to: that of the store, or one over the ids and texts of a table.
        source: Where the texts come from: columns, and the name of a table that was joined to a store.
        shared: Folder of the store, which may hold extractions of somebody else; None for reports of a table.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    folder: Path
    content_hash: str
    source: Mapping[str, object] = field(default_factory=dict)
    shared: Path | None = None

    def extraction(self, name: str) -> Path:
        """Return the folder from which an extraction is read: the user's own, or else that of the store."""
        own = self.folder / name
        return self.shared / name if self.shared is not None and not own.is_dir() else own

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def texts_hash(self) -> str:
        """Hash of ids and texts."""
        return _hash(self.ids, self.texts)

    def sample(self, count: int, seed: int) -> "Reports":
        """Return the same records with the texts of a random sample alone; the others are empty."""
        with_text = [row for row, text in enumerate(self.texts) if text.strip()]
        drawn = set(np.random.default_rng(seed).permutation(with_text)[:count].tolist())
        texts = tuple(text if row in drawn else "" for row, text in enumerate(self.texts))
        return replace(self, texts=texts, source={**self.source, "pilot": {"records": count, "seed": seed}})


def open_reports(
    path: Path,
    *,
    columns: Sequence[str] = (),
    table: Path | None = None,
    id_column: str = "",
    folder: Path | None = None,
) -> Reports:
    """Open the reports of a store, of a table joined to a store, or of a table alone.

    Args:
        path: A store, or a CSV file, which may be gzipped.
        columns: Columns of texts, by name or pattern such as ``report_*``. The texts of a record are joined, one per
            line. By default `DEFAULT_COLUMNS`.
        table: For a store, CSV file whose texts are read instead of the store's own, such as notes of cardiologists.
            Records are found by their ids. Several rows of one record are joined.
        id_column: Column of record ids of the CSV file; by default one of `ID_COLUMNS`, or the first column.
        folder: Folder for a table's results; ``NAME.knowledge`` beside it by default. A store has its own folder.

    Raises:
        StoreError: `path` is not a store, or has no reports.
        DatasetError: The table cannot be read, lacks a column, contains no report, or shares no record with the store.
    """
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        if table:
            raise DatasetError(f"{path} is a table itself", "a store, to join a table of reports to")
        return _of_table(path, columns, id_column, folder)
    store = Store(path)
    return _joined(store, table, columns, id_column) if table else of_store(store, columns=columns)


def of_store(store: Store, *, columns: Sequence[str] = ()) -> Reports:
    """Return the reports of an open store.

    Raises:
        StoreError: Its record table has no such column, or the columns contain no report.
    """
    names = _chosen(columns, list(map(str, store.table.columns)))
    if not names:
        raise StoreError(
            f"{store.path} has no column {' or '.join(map(repr, columns or DEFAULT_COLUMNS))}",
            f"one of {', '.join(map(str, store.table.columns))}",
        )
    cells = zip(*(store.table[name] for name in names), strict=True)
    texts = tuple(_text(row) for row in cells)
    if not any(text.strip() for text in texts):
        raise StoreError(f"{store.path} contains no reports", "a dataset with reports, such as MIMIC-IV-ECG or PTB-XL")
    ids = tuple(map(str, store.table["record_id"]))
    source = {"columns": list(names)}
    return Reports(
        ids, texts, own_folder(store.path, store.content_hash, FOLDER), store.content_hash, source, store.path / FOLDER
    )


def _of_table(path: Path, columns: Sequence[str], id_column: str, folder: Path | None) -> Reports:
    ids, texts, names = _read_table(path, columns, id_column)
    out = folder or path.with_name(f"{path.name.split('.')[0]}.knowledge")
    return Reports(ids, texts, out, _hash(ids, texts), {"columns": list(names)})


def _joined(store: Store, table: Path, columns: Sequence[str], id_column: str) -> Reports:
    """Return the texts of a table, by the records of a store."""
    ids, texts, names = _read_table(table, columns, id_column)
    by_id: dict[str, list[str]] = {}
    for record, text in zip(ids, texts, strict=True):
        by_id.setdefault(record, []).append(text)
    own = tuple(map(str, store.table["record_id"]))
    found = tuple("\n".join(filter(None, by_id.get(record, ()))) for record in own)
    if not any(found):
        raise DatasetError(
            f"no record id of {table} ({', '.join(ids[:3])} ...) is one of {store.path} ({', '.join(own[:3])} ...)",
            remedy="Name the column of record ids with --id-column.",
        )
    source = {"columns": list(names), "table": table.name}
    folder = own_folder(store.path, store.content_hash, FOLDER)
    return Reports(own, found, folder, store.content_hash, source, store.path / FOLDER)


def _read_table(
    path: Path, columns: Sequence[str], id_column: str
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return record ids, texts, and the columns that hold them."""
    rows: list[Row] = read_rows(path, [id_column] if id_column else [])
    header = list(rows[0]) if rows else []
    names = _chosen(columns, header)
    if not names:
        wanted = " or ".join(map(repr, columns or DEFAULT_COLUMNS))
        raise DatasetError(
            f"{path} lacks column {wanted}", f"one of {', '.join(header)}"[:300], "Name it with --report-columns."
        )
    key = id_column or next((name for name in ID_COLUMNS if name in header), header[0])
    ids = tuple(whole_number(row[key]) or "" for row in rows)
    texts = tuple(_text([row[name] for name in names]) for row in rows)
    if not any(text.strip() for text in texts):
        raise DatasetError(
            f"{path} contains no text in {', '.join(names)}", remedy="Name others with --report-columns."
        )
    return ids, texts, names


def _chosen(wanted: Sequence[str], header: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that match, in the order of the patterns, numbered ones by their number; nothing if one fails.

    Without a choice, the first default that matches anything is taken.
    """
    matches = {pattern: _matching(pattern, header) for pattern in wanted or DEFAULT_COLUMNS}
    if not wanted:
        return next((found for found in matches.values() if found), ())
    return tuple(dict.fromkeys(name for found in matches.values() for name in found)) if all(matches.values()) else ()


def _matching(pattern: str, header: Sequence[str]) -> tuple[str, ...]:
    def number(name: str) -> tuple[int, str]:
        digits = re.search(r"(\d+)$", name)
        return (int(digits[1]) if digits else -1, name)

    if pattern in header:
        return (pattern,)
    return tuple(sorted(fnmatch.filter(header, pattern), key=number))


def _text(cells: Sequence[object]) -> str:
    """Join the texts of one record, one per line."""
    return "\n".join(cell for cell in cells if isinstance(cell, str) and cell.strip())


def _hash(ids: Sequence[str], texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for part in (part for pair in zip(ids, texts, strict=True) for part in pair):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()
