"""Read and write Parquet tables as data frames. A missing text is None in every version of pandas.

pandas 3 reads a text column as its own string type, with NaN for a missing text. pandas 2 reads Python strings, with
None. Tables that pass through this module hold Python strings and None in both, and equal frames give equal files.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

HEAD = 1000  # rows of a long table that can be read before all are


class DamagedError(OSError):
    """A file, mostly a Parquet file, holds something else than what was written.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged: its content differs from what was written")
        self.path = path


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file. Pages that were written with a checksum are compared with it.

    Args:
        path: The file.
        columns: Columns to read; None for all.

    Raises:
        OSError: The file cannot be read.
        DamagedError: It is damaged.
    """
    chosen = None if columns is None else list(columns)
    try:
        return pq.read_table(path, columns=chosen, partitioning=None, page_checksum_verification=True)
    except (OSError, pa.ArrowInvalid) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedError(path) from None


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file with a checksum for each page."""
    pq.write_table(table, path, write_page_checksum=True)


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file.

    Args:
        path: The file.
        columns: Columns to read; None for all.
    """
    return as_frame(read_table(path, columns))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file without the frame's index and without pandas metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in table.schema]
    write_table(path, table.cast(pa.schema(fields)))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame. Text columns hold strings and None; all other columns are as pandas converts them."""
    return pd.DataFrame(
        {name: _cells(column) for name, column in zip(table.column_names, table.columns, strict=True)},
        columns=table.column_names,
    )


def _cells(column: pa.ChunkedArray) -> pd.Series:
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return pd.Series(column.to_numpy(), dtype=object) if text else column.to_pandas()


class WideTable:
    """A table of which a few columns are wanted at a time. A column is read when it is first asked for, and then kept.

    ``table["fold"]`` is a series, and ``table[["fold", "labels"]]`` is a frame. Several threads may share a table.

    Args:
        columns: Names of all columns, in order.
        length: Number of rows.
        read: Returns the frame of some columns.
    """

    def __init__(self, columns: Sequence[str], length: int, read: Callable[[list[str]], pd.DataFrame]) -> None:
        self.columns = tuple(columns)
        self._length, self._read = length, read
        self._lock = threading.Lock()
        self._held: dict[str, pd.Series[Any]] = {}

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @overload
    def __getitem__(self, names: str) -> "pd.Series[Any]": ...
    @overload
    def __getitem__(self, names: list[str] | tuple[str, ...]) -> pd.DataFrame: ...
    def __getitem__(self, names: str | list[str] | tuple[str, ...]) -> "pd.Series[Any] | pd.DataFrame":
        """Return one column, or the frame of several. Do not change what is returned.

        Raises:
            KeyError: The table has no such column.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        with self._lock:
            missing = [name for name in wanted if name not in self._held]
            if missing:
                found = self._read(missing)
                self._held |= {name: found[name] for name in missing}
        if isinstance(names, str):
            return self._held[names]
        held = {name: self._held[name] for name in wanted}
        return pd.DataFrame(held, pd.RangeIndex(len(self)), wanted, copy=False)

    def frame(self) -> pd.DataFrame:
        """Return all columns."""
        return self[self.columns]


class LongTable:
    """A Parquet file of which a few rows are wanted at a time.

    Opening takes as long for a million rows as for a thousand: only the first `HEAD` rows are read. All others need the
    whole file, which is read once, when the first of them is wanted. Several threads may share a table.

    Args:
        path: The file.

    Raises:
        OSError: The file cannot be read.
        pyarrow.ArrowException: The file is no Parquet file, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._all: pa.Table | None = None
        with pq.ParquetFile(path, buffer_size=1 << 16, page_checksum_verification=True) as file:
            self._length, self.schema = int(file.metadata.num_rows), file.schema_arrow
            first = next(file.iter_batches(batch_size=HEAD), None)
        self._head = self.schema.empty_table() if first is None else pa.Table.from_batches([first])

    def __len__(self) -> int:
        return self._length

    @property
    def is_read(self) -> bool:
        """Whether the whole file is in memory."""
        return self._all is not None

    def read(self) -> pa.Table:
        """Return the whole table, and keep it."""
        with self._lock:
            if self._all is None:
                self._all = read_table(self.path).combine_chunks()
            return self._all

    def take(self, rows: NDArray[np.integer], columns: Sequence[str] | None = None) -> pa.Table:
        """Return some rows, in the given order."""
        in_head = not self.is_read and (not len(rows) or int(rows.max()) < len(self._head))
        table = self._head if in_head else self.read()
        names = [name for name in columns if name in table.column_names] if columns is not None else table.column_names
        return table.select(names).take(pa.array(rows))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a whole column."""
        return self.read()[name]
