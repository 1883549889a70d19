"""Files of features: Parquet, NumPy (npz), HDF5 and Zarr, written block by block, with a table of the records.

======== ============================================ ==========================================
form     features                                     the table
======== ============================================ ==========================================
Parquet  a list column each, shape in the metadata    its columns
npz      ``pooled``, ``per_lead``, ...                ``record_id``, ``columns/NAME``
HDF5     datasets ``pooled``, ``per_lead``, ...       ``record_id``, ``columns/NAME``
Zarr     arrays ``pooled``, ``per_lead``, ...         ``records.parquet`` in the same folder
======== ============================================ ==========================================

All of them hold the JSON text ``ecgkit`` with the run, its hash, the leads and the features: in Parquet as metadata of
the schema, in npz as an array, in HDF5 and Zarr as an attribute. In arrays a missing number is NaN, a missing text is
empty, and a list is JSON.
"""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib import format as npy
from numpy.typing import NDArray

from ecgkit.distribution import install_extra
from ecgkit.errors import OutputError
from ecgkit.parquet import write_frame

ABOUT = "ecgkit"
TABLE = "records.parquet"
BLOCK_BYTES = 2**22  # size of a chunk in HDF5 and Zarr

Fields = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Contents:
    """What a file is to hold.

    Args:
        table: One row per record, with ``record_id``.
        shapes: Shape of each feature of one record, by name.
        dtypes: Its number format, by name.
        about: What the features are, in JSON's types.
        blocks: Returns an iterator over the features of some records each, in the order of the table.
    """

    table: pd.DataFrame
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, np.dtype[Any]]
    about: Mapping[str, Any]
    blocks: Callable[[], Iterator[Fields]]

    def whole(self, name: str) -> tuple[int, ...]:
        """Return the shape of a feature of all records."""
        return (len(self.table), *self.shapes[name])


def write_parquet(path: Path, contents: Contents) -> None:
    """Write a Parquet file. A feature of more than one axis is flattened; the metadata gives its shape."""
    table = pa.Table.from_pandas(contents.table, preserve_index=False)
    kinds = {
        name: pa.list_(pa.from_numpy_dtype(contents.dtypes[name]), size) for name, size in _sizes(contents).items()
    }
    schema = pa.schema([*table.schema, *(pa.field(name, kind) for name, kind in kinds.items())])
    schema = schema.with_metadata({ABOUT: json.dumps(contents.about)})
    start = 0
    with pq.ParquetWriter(path, schema) as writer:
        for fields in contents.blocks():
            stop = start + len(next(iter(fields.values())))
            lists = [
                pa.FixedSizeListArray.from_arrays(pa.array(fields[name].reshape(-1)), type=kind)
                for name, kind in kinds.items()
            ]
            rows = table.slice(start, stop - start).combine_chunks()
            writer.write_table(pa.table([*rows.columns, *lists], schema=schema))
            start = stop


def _sizes(contents: Contents) -> dict[str, int]:
    return {name: int(np.prod(shape)) for name, shape in contents.shapes.items()}


def write_npz(path: Path, contents: Contents) -> None:
    """Write an uncompressed npz file, one array after the other, without holding any of them whole."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in contents.shapes:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                kind = npy.dtype_to_descr(contents.dtypes[name])
                head = {"descr": kind, "fortran_order": False, "shape": contents.whole(name)}
                npy.write_array_header_2_0(file, head)
                for fields in contents.blocks():
                    file.write(np.ascontiguousarray(fields[name], contents.dtypes[name]).tobytes())
        small = {ABOUT: np.array(json.dumps(contents.about)), **columns_of(contents.table)}
        for name, values in small.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                npy.write_array(file, values, allow_pickle=False)


def write_hdf5(path: Path, contents: Contents) -> None:
    """Write an HDF5 file.

    Raises:
        OutputError: h5py is not installed.
    """
    if find_spec("h5py") is None:
        raise OutputError(f"{path.suffix} files need the package h5py", remedy=install_extra("hdf5"))
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs[ABOUT] = json.dumps(contents.about)
        for name, values in columns_of(contents.table).items():
            text = values.dtype.kind == "U"
            file.create_dataset(
                name, data=values.astype(object) if text else values, dtype=h5py.string_dtype() if text else None
            )
        arrays = {
            name: file.create_dataset(name, contents.whole(name), contents.dtypes[name], chunks=_chunks(contents, name))
            for name in contents.shapes
        }
        _fill(arrays, contents.blocks())


def write_zarr(path: Path, contents: Contents) -> None:
    """Write a Zarr group, a folder."""
    import zarr  # slow to import

    group = zarr.open_group(path, mode="w")
    group.attrs[ABOUT] = dict(contents.about)
    arrays = {
        name: group.create_array(
            name, shape=contents.whole(name), dtype=contents.dtypes[name], chunks=_chunks(contents, name)
        )
        for name in contents.shapes
    }
    _fill(arrays, contents.blocks())
    write_frame(path / TABLE, contents.table)


def _chunks(contents: Contents, name: str) -> tuple[int, ...]:
    """Return chunks of whole records of about `BLOCK_BYTES`."""
    shape = contents.whole(name)
    size = max(1, int(np.prod(shape[1:])) * contents.dtypes[name].itemsize)
    return (max(1, min(shape[0], BLOCK_BYTES // size)), *(max(1, axis) for axis in shape[1:]))


def _fill(arrays: Mapping[str, Any], blocks: Iterator[Fields]) -> None:
    start = 0
    for fields in blocks:
        stop = start + len(next(iter(fields.values())))
        for name, array in arrays.items():
            array[start:stop] = fields[name]
        start = stop


def columns_of(table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return a table as arrays of numbers and text: ``record_id``, and ``columns/NAME`` for every other column."""
    return {name if name == "record_id" else f"columns/{name}": _array(table[name]) for name in map(str, table.columns)}


def _array(column: pd.Series) -> NDArray[Any]:
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return column.to_numpy(bool)
    if pd.api.types.is_numeric_dtype(column):
        whole = pd.api.types.is_integer_dtype(column) and not column.isna().any()
        return column.to_numpy(np.int64) if whole else column.to_numpy(np.float64, na_value=np.nan)
    return np.array([_text(value) for value in column], dtype=np.str_)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist") and not np.isscalar(value):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value)
    return "" if value is None or value is pd.NA or value != value else str(value)


WRITERS = {
    ".parquet": write_parquet,
    ".npz": write_npz,
    ".h5": write_hdf5,
    ".hdf5": write_hdf5,
    ".zarr": write_zarr,
}
