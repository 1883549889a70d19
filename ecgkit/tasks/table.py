"""A task whose labels are in a CSV file, beside the task's own YAML file.

    table:
      path: labels.csv          CSV file inside the folder of the YAML file
      id: record_id             column of record ids, as `ecgkit inspect` shows them
      columns: [af, lvh]        one column of 0 and 1 per label; default: the labels of the task
      class_column: diagnosis   instead: one column with the class of each record
      split_column: part        train, val or test; a record without a value takes no part
      fold_column: fold         instead: folds, used as the task's `split` says; default: the store's folds

Columns are found by name, records by id. Nothing is guessed: a cell that is neither 0 nor 1 is an error. Records that
only the file or only the store has are counted and named.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.datasets.tables import Row, stream_rows, text
from ecgkit.errors import TaskError
from ecgkit.store.identity import independent_units
from ecgkit.wording import plural

PARTS = ("train", "val", "test")
NAMED = 5  # number of records that a note names
TRUTH = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


@dataclass(frozen=True)
class Table:
    """Location and columns of a task's labels; see the module's docstring.

    Args:
        path: The CSV file, relative to the task's file; absolute once the task is loaded.
        id: Column of record ids.
        columns: Columns of 0 and 1; empty for the task's labels.
        class_column: Column of classes, instead of `columns`.
        split_column: Column of parts.
        fold_column: Column of folds.
    """

    path: str
    id: str = "record_id"
    columns: tuple[str, ...] = ()
    class_column: str = ""
    split_column: str = ""
    fold_column: str = ""

    def __post_init__(self) -> None:
        if self.columns and self.class_column:
            raise ValueError("columns and class_column exclude each other")
        if self.split_column and self.fold_column:
            raise ValueError("split_column and fold_column exclude each other")


@dataclass(frozen=True)
class TableOrigin:
    """The table and columns that the labels and the split of a task came from.

    Args:
        file: Name of the file.
        sha256: First 16 hex digits of its SHA-256.
        columns: Columns that hold the labels.
        split_column: Column that holds the part; empty if folds split.
        fold_column: Column that holds the fold; empty for the store's own folds.
    """

    file: str
    sha256: str
    columns: tuple[str, ...]
    split_column: str = ""
    fold_column: str = ""


@dataclass(frozen=True)
class TableLabels:
    """The labels of a table for a store of R records.

    Args:
        labels: The C short labels.
        targets: ``[R, C]`` of 0 and 1. Records of the store that the table lacks have 0 throughout.
        members: Rows of the store by part.
        notes: Remarks for readers of a result.
        origin: The table and its columns.
    """

    labels: tuple[str, ...]
    targets: NDArray[np.int8]
    members: dict[str, NDArray[np.int64]]
    origin: TableOrigin
    notes: tuple[str, ...] = ()


def read_labels(
    table: Table, labels: Sequence[str], records: pd.DataFrame, folds: Mapping[str, Sequence[int]]
) -> TableLabels:
    """Read the labels and the split of a table for the records of a store.

    Args:
        table: Location and columns of the labels.
        labels: Labels of the task; empty to use the labels of the table.
        records: Columns `record_id`, `patient_id` and `fold` of the store's record table.
        folds: Folds of each part.

    Raises:
        DatasetError: The file cannot be read, or lacks a column.
        TaskError: An id is empty or occurs twice, a cell is not valid, or the store has none of the records.
    """
    path, columns = Path(table.path), table.columns or (() if table.class_column else tuple(labels))
    if not columns and not table.class_column:
        raise TaskError(
            f"the task of {path.name} names no label", remedy="Set table.columns, table.class_column, or labels."
        )
    extra = [name for name in (table.class_column, table.split_column, table.fold_column) if name]
    by_id = _by_id(stream_rows(path, [table.id, *columns, *extra]), table.id, path.name)
    row_of = {record: row for row, record in enumerate(records["record_id"].astype(str))}
    known = {record: cells for record, cells in by_id.items() if record in row_of}
    if not known:
        raise TaskError(
            f"no record of {path.name} is in the store: it has {_named(by_id)}, the store {_named(row_of)}",
            f"ids of the store in column {table.id}",
        )
    classes = columns or tuple(labels) or tuple(sorted({c for row in known.values() if (c := row[table.class_column])}))
    kept, unknown = {}, []
    for record, cells in known.items():
        values = _values(record, cells, columns, table.class_column, classes, path.name)
        if values is None:
            unknown.append(record)
        else:
            kept[row_of[record]] = values
    targets = np.zeros((len(records), len(classes)), np.int8)
    rows = np.array(sorted(kept), np.int64)
    targets[rows] = np.array([kept[row] for row in rows.tolist()], np.int8).reshape(len(rows), len(classes))
    ids = records["record_id"].astype(str).to_numpy()
    listed = [known[record] for record in ids[rows]]
    members = {part: rows[at] for part, at in _parts(table, listed, records["fold"].to_numpy()[rows], folds).items()}
    notes = _missing(path.name, by_id, row_of, unknown)
    return TableLabels(
        classes, targets, members, _origin(table, classes), (*notes, *_shared_patients(members, records))
    )


def _by_id(rows: Iterable[Row], column: str, file: str) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for number, row in enumerate(rows, 2):
        record = (text(row[column]) or "").strip()
        if not record:
            raise TaskError(f"line {number} of {file} has no {column}", "a record id")
        if record in found:
            raise TaskError(f"{file} has record {record[:40]!r} twice", "one line per record")
        found[record] = row
    return found


def _values(
    record: str, cells: Row, columns: Sequence[str], class_column: str, classes: Sequence[str], file: str
) -> list[int] | None:
    """Return a record's targets; None if its class is empty or not a class of the task."""
    if class_column:
        own = cells[class_column]
        return [int(own == name) for name in classes] if own in classes else None
    values = []
    for column in columns:
        cell = (cells[column] or "").strip().lower()
        if cell not in TRUTH:
            raise TaskError(f"column {column} of {file} holds {cell[:20]!r} for record {record[:40]}", "0 or 1")
        values.append(TRUTH[cell])
    return values


def _parts(
    table: Table, cells: Sequence[Row], own: NDArray[np.integer], folds: Mapping[str, Sequence[int]]
) -> dict[str, NDArray[np.int64]]:
    """Return the indices of the records in each part."""
    if table.split_column:
        said = [(row[table.split_column] or "").strip().lower() for row in cells]
        wrong = sorted({part for part in said if part not in ("", *PARTS)})
        if wrong:
            raise TaskError(f"column {table.split_column} holds {wrong[0][:20]!r}", "train, val, test or nothing")
        return {part: np.flatnonzero([value == part for value in said]) for part in PARTS}
    if table.fold_column:
        numbers = [(text(row[table.fold_column]) or "").strip() for row in cells]
        wrong = sorted({number for number in numbers if number and not number.isdecimal()})
        if wrong:
            raise TaskError(f"column {table.fold_column} holds {wrong[0][:20]!r}", "whole numbers or nothing")
        own = np.array([int(number) if number else -1 for number in numbers], np.int64)
    return {part: np.flatnonzero(np.isin(own, folds[part])) for part in PARTS}


def _missing(
    file: str, listed: Mapping[str, Row], stored: Mapping[str, int], unknown: Sequence[str]
) -> tuple[str, ...]:
    """Count and name the records that only the table or only the store has."""
    absent = [record for record in listed if record not in stored]
    unlisted = [record for record in stored if record not in listed]
    found = (
        (absent, f"of {file} are not in the store"),
        (unlisted, f"of the store are not in {file}"),
        (unknown, f"of {file} left out: their class is empty or not asked for"),
    )
    return tuple(f"{len(records)} records {where}: {_named(records)}" for records, where in found if records)


def _named(records: Mapping[str, object] | Sequence[str]) -> str:
    names = [str(record)[:40] for record in list(records)[:NAMED]]
    return ", ".join(names) + (" ..." if len(records) > NAMED else "")


def _shared_patients(members: Mapping[str, NDArray[np.int64]], records: pd.DataFrame) -> list[str]:
    """Return a note on patients, or recordings of unknown patients, with records in more than one part of the split."""
    units = independent_units(records)
    counted = Counter(unit for rows in members.values() for unit in set(units[rows]))
    both = sum(parts > 1 for parts in counted.values())
    return [f"{plural(both, 'patient')} with records in more than one part of the split"] if both else []


def _origin(table: Table, classes: Sequence[str]) -> TableOrigin:
    path = Path(table.path)
    columns = (table.class_column,) if table.class_column else tuple(classes)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return TableOrigin(path.name, digest, columns, table.split_column, table.fold_column)
