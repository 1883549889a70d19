"""Read single records out of an array of many, without reading it whole.

An array that is chunked on the disk is read in blocks of whole chunks, of which the last few are kept: records are read
in their order, so each chunk is unpacked once.
"""

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
    block = (
        _block(container, name, letters, start, start + size) if size > 1 else _cut(array, letters, start, start + 1)
    )
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
    if chunks is None and letters[0] == "N":  # in one piece on the disk
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
    index = tuple(slice(start, stop) if letter == "N" else 0 if letter == "1" else slice(None) for letter in letters)
    cut = np.asarray(array[index])
    kept = letters.replace("1", "")
    for letter in "LN":
        if letter not in kept:
            cut, kept = cut[None], letter + kept
    return cut.transpose([kept.index(letter) for letter in "NLT"])


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
