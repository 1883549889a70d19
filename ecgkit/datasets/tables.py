"""Reading the tables that datasets ship: every cell as text, with one clear error for what is missing or unreadable."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.datasets.base import Source
from ecgkit.errors import DatasetError, RecordError

Row = dict[str, Any]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a CSV file as one mapping a row, with the text of every cell and None for an empty one.

    One odd cell must not change how its whole column is read, and ids must keep every digit: nothing is guessed.

    Args:
        path: The file.
        columns: Columns that it must have.

    Raises:
        DatasetError: The file is missing, is no CSV, or lacks a column.
    """
    try:
        with path.open("rb") as file:
            table = pd.read_csv(file, dtype=str)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "a table of the dataset") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(f"{path} cannot be read ({error})", "a CSV table") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise DatasetError(f"{path} lacks column {', '.join(missing)}", ", ".join(columns))
    table = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def sources_of(rows: Sequence[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> list[Source]:
    """Turn rows into sources; a row that cannot be read becomes one that says why.

    Args:
        rows: As `read_rows` gives them.
        read: Makes a source of a row, or raises `RecordError`.
        record_id: Column of ids.
        path: Column of paths.
    """

    def source(row: Row) -> Source:
        try:
            return read(row)
        except RecordError as error:
            return Source(record_id=text(row[record_id]) or "", path=text(row[path]) or "", problem=str(error))

    return [source(row) for row in rows]


def text(cell: str | None) -> str | None:
    """Return a cell as it is, None for an empty one; a whole number loses the ``.0`` of a float column."""
    whole = re.fullmatch(r"(-?\d+)\.0", cell or "")
    return whole[1] if whole else cell


def number(row: Mapping[str, Any], column: str) -> float | None:
    """Return a row's number, None for an empty or absent cell.

    Raises:
        RecordError: The cell holds anything else.
    """
    cell = text(row.get(column))
    try:
        value = float(cell) if cell and cell.strip() else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise RecordError(f"column {column} holds {str(cell)[:40]!r}", "a number, or nothing")
    return value
