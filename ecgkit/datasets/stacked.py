"""Read single records out of an array of many, without reading it whole.

An array is read in blocks, of which the last few are kept: records are read in their order. A block of an array that is
chunked on the disk consists of whole chunks, so each chunk is unpacked once. An array that lies in one piece is read
from one end to the other, and while a block is used, the system already reads the next one.
"""

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.axes import count, size_of_record
from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.containers import Container, open_container
from ecgkit.errors import RecordError

# A block of records is about this long, but at least one chunk.
BLOCK_BYTES = 16 << 20


def read_from(root: Path, path: str, name: str, letters: str, record: int) -> NDArray[Any]:
    """Return one record ``[L, T]`` of an array, in its own type.

    Args:
        root: The dataset's folder.
        path: The file, relative to it.
        name: Name of the array in the file.
        letters: Its axes, as `ecgkit.datasets.axes.find_axes` returns them.
        record: Place of the record on the axis of records; 0 if there is none.

    Raises:
        RecordError: The record takes too much memory.
    """
    container = open_container(root, path)
    array = container.arrays[name]
    size = _block_size(container, name, letters)
    start = record // size * size
    stop = min(start + size, count(letters, array.shape, "N"))
    block = _block(container, name, letters, start, stop) if size > 1 else _cut(array, letters, start, stop)
    return np.ascontiguousarray(block[record - start])


@lru_cache(maxsize=64)
def _block_size(container: Container, name: str, letters: str) -> int:
    """Return the number of records that are read at once."""
    array = container.arrays[name]
    record = size_of_record(letters, array.shape) * array.dtype.itemsize
    chunks = getattr(array, "chunks", None)
    check_memory(size_of_record(letters, array.shape), f"a record of {name or 'the array'}")
    if "N" not in letters:
        return 1
    chunk = chunks[letters.index("N")] if chunks else 1
    size = chunk * max(1, BLOCK_BYTES // max(1, chunk * record))
    check_memory(
        chunk * size_of_record(letters, array.shape), f"a chunk of {name or 'the array'}", array.dtype.itemsize
    )
    return int(min(size, count(letters, array.shape, "N")))


@lru_cache(maxsize=2)
def _block(container: Container, name: str, letters: str, start: int, stop: int) -> NDArray[Any]:
    return _cut(container.arrays[name], letters, start, stop)


def _cut(array: Any, letters: str, start: int, stop: int) -> NDArray[Any]:
    """Return some records as ``[N, L, T]``."""
    if _is_in_one_piece(array, letters):
        array, start, stop = _from_disk(array, letters, start, stop), 0, stop - start
    index = tuple(slice(start, stop) if letter == "N" else 0 if letter == "1" else slice(None) for letter in letters)
    cut = np.asarray(array[index])
    kept = letters.replace("1", "")
    for letter in "LN":
        if letter not in kept:
            cut, kept = cut[None], letter + kept
    return cut.transpose([kept.index(letter) for letter in "NLT"])


def _is_in_one_piece(array: Any, letters: str) -> bool:
    """Return whether records lie one behind the other in a file that is mapped."""
    is_mapped = isinstance(array, np.memmap) and array.filename is not None and array.flags.c_contiguous
    return is_mapped and ("N" not in letters or letters[0] == "N")


def _from_disk(mapped: "np.memmap[Any, Any]", letters: str, start: int, stop: int) -> NDArray[Any]:
    """Return some records of a mapped array by one read, which is much faster than one page after the other.

    Raises:
        RecordError: The file was cut short since it was opened.
    """
    shape = (stop - start, *mapped.shape[1:]) if "N" in letters else mapped.shape
    step = math.prod(mapped.shape[1:]) * mapped.itemsize if "N" in letters else 0
    with open(mapped.filename, "rb") as file:  # type: ignore[arg-type]  # checked by `_is_in_one_piece`
        begin = mapped.offset + start * step
        if step and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), begin, 2 * (stop - start) * step, os.POSIX_FADV_WILLNEED)
        values = np.fromfile(file, mapped.dtype, math.prod(shape), offset=begin)
    if values.size != math.prod(shape):
        raise RecordError(f"{file.name} was cut short while it was read")
    return values.reshape(shape)


def largest_value(values: NDArray[Any]) -> float:
    """Return the largest amplitude of a record, without its offset; 0 if there is none.

    Raises:
        RecordError: The record holds no sample.
    """
    if not values.size:
        raise RecordError("the record holds no sample")
    numbers = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        centred = np.abs(numbers - np.nanmedian(numbers, axis=-1, keepdims=True))
    return float(np.nanquantile(centred, 0.999)) if np.isfinite(centred).any() else 0.0
