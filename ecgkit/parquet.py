"""Read and write Parquet tables as data frames. A missing text is None in every version of pandas.

pandas 3 reads a text column as its own string type, with NaN for a missing text. pandas 2 reads Python strings, with
None. Tables that pass through this module hold Python strings and None in both, and equal frames give equal files.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def read_frame(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file.

    Args:
        path: The file.
        columns: Columns to read; None for all.
    """
    return as_frame(pq.read_table(path, columns=None if columns is None else list(columns), partitioning=None))


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a Parquet file without the frame's index and without pandas metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), path)


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Return a table as a frame. Text columns hold strings and None; all other columns are as pandas converts them."""
    return pd.DataFrame(
        {name: _cells(column) for name, column in zip(table.column_names, table.columns, strict=True)},
        columns=table.column_names,
    )


def _cells(column: pa.ChunkedArray) -> pd.Series:
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return pd.Series(column.to_numpy(), dtype=object) if text else column.to_pandas()
