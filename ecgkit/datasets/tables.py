"""Reading the tables that datasets ship: every column as it is, with one clear error for what is missing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ecgkit.errors import DatasetError


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Read a CSV file as one mapping a row.

    Args:
        path: The file.
        columns: Columns that it must have.

    Raises:
        DatasetError: The file is missing, is no CSV, or lacks a column.
    """
    try:
        table = pd.read_csv(path, low_memory=False)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist", "a table of the dataset") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DatasetError(f"{path} cannot be read ({error})", "a CSV table") from None
    missing = [column for column in columns if column not in table]
    if missing:
        raise DatasetError(f"{path} lacks column {', '.join(missing)}", ", ".join(columns))
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def text(value: Any) -> str | None:
    """Return a cell as text, None for an empty one; a whole number loses the ``.0`` of a float column."""
    if value is None or value != value:  # NaN differs from itself
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def number(value: Any) -> float | None:
    """Return a cell as a number, None for an empty one."""
    return None if value is None or value != value else float(value)
