"""PTB-XL+ 1.0.1: features and statements for the records of PTB-XL, joined by ``ecg_id``.

Strodthoff et al., PTB-XL+, a comprehensive electrocardiographic feature dataset, Scientific Data 10:279 (2023), doi
10.1038/s41597-023-02153-8. ``features/`` holds one table of each of three algorithms, ``labels/`` the statements
of one of them and those of PTB-XL with SNOMED CT. Rows have orders of their own, some records are missing, and one
table has ``ecg_id`` in the middle of its columns. Names of columns repeat, so each gets the prefix of its table.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.datasets.paths import is_local
from ecgkit.datasets.tables import stream_rows, text
from ecgkit.errors import DatasetError

KEY = "ecg_id"
# The project's name on PhysioNet, and the name of its archive when it is unpacked.
FOLDERS = ("ptb-xl-plus*", "ptb-xl-a-comprehensive-electrocardiographic-feature-dataset*")
FEATURES = {name: f"features/{name}_features.csv" for name in ("12sl", "unig", "ecgdeli")}
STATEMENTS = {name: f"labels/{name}_statements.csv" for name in ("12sl", "ptbxl")}


@dataclass(frozen=True)
class Features:
    """One table of features.

    Args:
        columns: Names of the columns, with the prefix.
        rows: Row of each record by its id.
        values: The features ``[n, columns]``; NaN where there is none.
    """

    columns: tuple[str, ...]
    rows: Mapping[str, int]
    values: NDArray[np.float64]

    def of(self, record_id: str) -> dict[str, float | None]:
        """Return the features of a record."""
        if record_id not in self.rows:
            return dict.fromkeys(self.columns)
        values = self.values[self.rows[record_id]].tolist()
        return {name: None if value != value else value for name, value in zip(self.columns, values, strict=True)}


@dataclass(frozen=True)
class Plus:
    """The tables of PTB-XL+ in memory: about 360 MB if all are there.

    Args:
        folder: Their folder.
        features: Tables of features.
        statements: Columns of the tables of statements by record, with their prefix.
        empty: The same columns for a record that has none.
    """

    folder: Path
    features: tuple[Features, ...]
    statements: Mapping[str, Mapping[str, Any]]
    empty: Mapping[str, Any]

    def of(self, record_id: str) -> dict[str, Any]:
        """Return all columns of a record; None where its tables do not have it."""
        row = {**self.empty, **self.statements.get(record_id, {})}
        return row | {name: value for table in self.features for name, value in table.of(record_id).items()}

    def count(self, record_ids: Iterator[str]) -> int:
        """Return how many of some records have a row in any table."""
        return sum(
            record_id in self.statements or any(record_id in table.rows for table in self.features)
            for record_id in record_ids
        )


def find_plus(root: Path) -> Path | None:
    """Return the folder of PTB-XL+: PTB-XL's own, one in it, one beside it, or one version of it in one of these."""
    above = [root.resolve(), *root.resolve().parents[:2]] if is_local(root) else [root]
    named = [path for folder in above for pattern in FOLDERS for path in sorted(folder.glob(pattern), key=str)]
    versions = (version for folder in named for version in sorted(folder.glob("[0-9]*"), key=str, reverse=True))
    return next((folder for folder in (root, *named, *versions) if _holds_tables(folder)), None)


def _holds_tables(folder: Path) -> bool:
    return any((folder / file).is_file() for file in (*FEATURES.values(), *STATEMENTS.values()))


def stamp_of(folder: Path) -> str:
    """Return a text that changes with the tables: their sizes and times."""
    files = [folder / name for name in (*FEATURES.values(), *STATEMENTS.values())]
    return repr([(file.name, file.stat().st_size, file.stat().st_mtime) for file in files if file.is_file()])


@lru_cache(maxsize=1)
def read_plus(folder: Path, stamp: str) -> Plus:
    """Read the tables that are there.

    Args:
        folder: Their folder.
        stamp: `stamp_of` the folder, so that changed tables are read again.

    Raises:
        DatasetError: A table cannot be read, has no ``ecg_id``, or a feature is no number.
    """
    features = tuple(_features(folder / file, prefix) for prefix, file in FEATURES.items() if (folder / file).is_file())
    statements: dict[str, dict[str, Any]] = {}
    empty: dict[str, Any] = {}
    for prefix, file in STATEMENTS.items():
        for row in stream_rows(folder / file, (KEY,)) if (folder / file).is_file() else ():
            own = {f"{prefix}_{name}": _cell(name, value) for name, value in row.items() if name != KEY}
            statements.setdefault(text(row[KEY]) or "", {}).update(own)
            empty |= dict.fromkeys(own)
    return Plus(folder, features, statements, empty)


def _features(file: Path, prefix: str) -> Features:
    try:
        with file.open("rb") as raw:
            table = pd.read_csv(raw, dtype={KEY: str}, low_memory=False)
        values = table.drop(columns=KEY).to_numpy(np.float64)
    except (OSError, ValueError, KeyError) as error:  # ValueError: undecodable, no table, or a cell that is no number
        raise DatasetError(
            f"{file} cannot be read as a table of features ({error})", f"numbers, and a column {KEY}"
        ) from None
    columns = tuple(f"{prefix}_{name}" for name in table.columns if name != KEY)
    rows = {text(record_id) or "": row for row, record_id in enumerate(table[KEY]) if isinstance(record_id, str)}
    return Features(columns, rows, values)


def _cell(name: str, value: str | None) -> Any:
    """Return the cell of a statement table: a list where it lists statements alone, else its text."""
    if name not in ("statements", "statements_cat"):
        return value
    try:
        found = ast.literal_eval(value or "[]")
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # listed in ast's docs
        raise DatasetError(f"column {name} of PTB-XL+ holds {str(value)[:40]!r}", "a list such as ['NSR']") from None
    return [str(statement) for statement in found]
