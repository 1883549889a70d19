"""Read the CSV tables of datasets. Every cell is read as text; a missing or unreadable table gives one clear error."""

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.datasets.base import Source
from ecgkit.errors import DatasetError, RecordError

Row = dict[str, Any]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a CSV file as one mapping per row, with the text of every cell, or None for an empty cell.

    No type is guessed: one odd cell must not change how its whole column is read, and ids must keep every digit.

    Args:
        path: The file.
        columns: Required columns.

    Raises:
        DatasetError: The file is missing, is not a CSV file, or lacks a column.
    """
    try:
        with path.open("rb") as file:
            table = pd.read_csv(file, dtype=str, compression="gzip" if path.suffix == ".gz" else None)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist; the dataset needs this table") from None
    except (
        OSError,
        EOFError,
        zlib.error,
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise DatasetError(f"{path} cannot be read as a CSV table ({error})") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise DatasetError(f"{path} lacks column {', '.join(missing)}")
    table = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def sources_of(rows: Sequence[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> list[Source]:
    """Turn rows into sources. A row that cannot be read becomes a source with the problem.

    Args:
        rows: The rows, as `read_rows` returns them.
        read: Makes a source from a row, or raises `RecordError`.
        record_id: Column of record ids.
        path: Column of record paths.
    """

    def source(row: Row) -> Source:
        try:
            return read(row)
        except RecordError as error:
            return Source(record_id=text(row[record_id]) or "", path=text(row[path]) or "", problem=str(error))

    return [source(row) for row in rows]


def text(cell: str | None) -> str | None:
    """Return a cell's text; None for an empty one. A whole number loses the ``.0`` of a float column."""
    whole = re.fullmatch(r"(-?\d+)\.0", cell or "")
    return whole[1] if whole else cell


def number(row: Mapping[str, Any], column: str) -> float | None:
    """Return a row's number; None for an empty or missing cell.

    Raises:
        RecordError: The cell is not a number.
    """
    cell = text(row.get(column))
    try:
        value = float(cell) if cell and cell.strip() else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise RecordError(f"column {column} holds {str(cell)[:40]!r}", "a number, or an empty cell")
    return value
