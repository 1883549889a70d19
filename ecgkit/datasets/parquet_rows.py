"""Read the samples of single rows of a Parquet file, without reading it whole.

Rows are read in their order, some at a time. So each page is unpacked once, and memory stays small, however large the
groups of rows are.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.paths import stamp_of
from ecgkit.datasets.stacked import BLOCK_BYTES
from ecgkit.errors import RecordError


def read_lists(folder: Path, path: str, columns: Sequence[str], row: int) -> list[NDArray[Any]]:
    """Return the samples of a row in columns of lists; of one column of lists of lists, one array per inner list.

    Raises:
        RecordError: A cell is empty, or the row needs too much memory.
    """
    cells = [cell for (cell,) in _cells(folder, path, columns, row)]
    if not all(cell.is_valid for cell in cells):
        raise RecordError(f"row {row} of {path} has an empty cell", "a list of samples")
    if len(cells) == 1 and _is_list(cells[0].values.type):
        cells = list(cells[0].values)
    return [cell.values.to_numpy(zero_copy_only=False) for cell in cells]


def read_numbers(folder: Path, path: str, columns: Sequence[str], row: int) -> NDArray[np.float64]:
    """Return the numbers of a row, NaN for an empty cell."""
    cells = (cell.as_py() for (cell,) in _cells(folder, path, columns, row))
    return np.array([np.nan if cell is None else cell for cell in cells], np.float64)


def _cells(folder: Path, path: str, columns: Sequence[str], row: int) -> list[Any]:
    table = _rows(folder, path, tuple(columns), stamp_of(folder, path)).find(row)
    return [table[name] for name in columns]


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


class _Rows:
    """The rows of some columns, read a batch at a time; a row before the present batch begins anew."""

    def __init__(self, file: Path, columns: tuple[str, ...]) -> None:
        self._file, self._columns = file, columns
        with file.open("rb") as stream:
            about = pq.read_metadata(stream)
        groups = [about.row_group(n) for n in range(about.num_row_groups)]
        self._starts = [0, *accumulate(group.num_rows for group in groups)]
        parts = [group.column(n) for group in groups for n in range(about.num_columns)]
        values = sum(part.num_values for part in parts if part.path_in_schema.split(".")[0] in columns)
        own = values / max(1, about.num_rows)
        check_memory(own, f"a row of {file.name}")
        self._batch = max(1, int(BLOCK_BYTES / max(1.0, 8 * own)))
        self._batches: Iterator[Any] = iter(())
        self._start = self._stop = 0
        self._table: Any = None

    def find(self, row: int) -> Any:
        """Return a table of one row."""
        group = bisect_right(self._starts, row) - 1
        if self._table is None or row < self._start or self._starts[group] > self._stop:
            self._start = self._stop = self._starts[group]
            self._batches = self._from(group)
        while row >= self._stop:
            self._table = next(self._batches)
            self._start, self._stop = self._stop, self._stop + self._table.num_rows
        return self._table.slice(row - self._start, 1)

    def _from(self, group: int) -> Iterator[Any]:
        with self._file.open("rb") as stream:
            groups = list(range(group, len(self._starts) - 1))
            yield from pq.ParquetFile(stream).iter_batches(
                self._batch, row_groups=groups, columns=list(self._columns), use_threads=False
            )


@lru_cache(maxsize=2)
def _rows(folder: Path, path: str, columns: tuple[str, ...], stamp: tuple[int, int]) -> _Rows:
    return _Rows(folder / path, columns)
