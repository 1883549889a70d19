"""Tables of datasets: their rows one after another, or the whole table on disk.

`ecgkit.datasets.table_files` reads the files. A missing or unreadable table gives one clear error.
"""

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ecgkit.datasets.base import Source
from ecgkit.datasets.spool import Chest, Spool, pack, unpack
from ecgkit.datasets.table_files import Block, rows_at_a_time, table_blocks
from ecgkit.errors import DatasetError, RecordError

Cell = str | None
Row = dict[str, Any]

SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx")


class Table:
    """A table of a dataset. Its cells lie in an unnamed file, column by column, so a long table needs little memory.

    `columns` are the names of its columns. Of several columns with one name the last counts. `notes` say how it was
    read, where that is unusual.

    Args:
        name: Name of the file.
        blocks: Its rows, at least one block.
    """

    def __init__(self, name: str, blocks: Iterable[Block]) -> None:
        self.name = name
        self.columns: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        self._chest, self._places, self._length = Chest(), array("Q"), 0
        for block in blocks:
            self.columns, self.notes = block.columns, block.notes
            for cells in block.cells:
                self._places.extend(self._chest.put(pack(list(cells))))
            self._length += len(block.cells[0]) if block.cells else 0
        self._at = {name: at for at, name in enumerate(self.columns)}

    @classmethod
    def of(cls, name: str, columns: Mapping[str, Sequence[Cell]]) -> "Table":
        """Return a table of columns that are in memory, all of the same length."""
        length, step = len(next(iter(columns.values()), ())), rows_at_a_time(len(columns))
        starts = range(0, max(1, length), step)
        return cls(name, (Block((*columns,), [cells[at : at + step] for cells in columns.values()]) for at in starts))

    def __len__(self) -> int:
        return self._length

    def column(self, name: str) -> Iterator[Cell]:
        """Yield the cells of a column: their text, or None for an empty cell."""
        for block in range(self._blocks):
            yield from self._cells(block, self._at[name])

    def rows(self) -> Iterator[Row]:
        """Yield each row as a dictionary of its cells by column name."""
        for block in range(self._blocks):
            cells = [self._cells(block, at) for at in range(len(self.columns))]
            for row in zip(*cells, strict=True):
                yield dict(zip(self.columns, row, strict=True))

    @property
    def _blocks(self) -> int:
        return len(self._places) // (2 * len(self.columns)) if self.columns else 0

    def _cells(self, block: int, column: int) -> list[Cell]:
        at = 2 * (block * len(self.columns) + column)
        return cast("list[Cell]", unpack(self._chest.get(*self._places[at : at + 2])))


def read_table(path: Path) -> Table:
    """Read a table of any known kind.

    Raises:
        DatasetError: The file is missing, is not a table of its kind, or needs a package that is not installed.
    """
    return Table(path.name, table_blocks(path))


def columns_of(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a table. Raises the errors of `read_table`."""
    return next(table_blocks(path)).columns


def stream_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table that must have some columns. Only some rows are in memory at a time.

    Args:
        path: The file.
        columns: Required columns.

    Raises:
        DatasetError: See `read_table`; or the table lacks a column.
    """
    for block in table_blocks(path):
        missing = [column for column in columns if column not in block.columns]
        if missing:
            raise DatasetError(f"{path} lacks column {', '.join(missing)}")
        for row in zip(*block.cells, strict=True):
            yield dict(zip(block.columns, row, strict=True))


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of `stream_rows` as a list. Raises the same errors."""
    return list(stream_rows(path, columns))


def sources_of(rows: Iterable[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> Spool[Source]:
    """Return the sources of `each_source`, kept on disk."""
    return Spool(each_source(rows, read, record_id=record_id, path=path))


def each_source(rows: Iterable[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> Iterator[Source]:
    """Turn rows into sources, one by one. A row that cannot be read becomes a source with the problem.

    Args:
        rows: The rows, as `stream_rows` yields them.
        read: Makes a source from a row, or raises `RecordError`.
        record_id: Column of record ids.
        path: Column of record paths.
    """
    for row in rows:
        try:
            yield read(row)
        except RecordError as error:
            yield Source(record_id=text(row[record_id]) or "", path=text(row[path]) or "", problem=str(error))


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
