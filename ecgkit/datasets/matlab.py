"""Read arrays from Matlab files (versions 4 to 7.2) with scipy, which only reads data and runs no code."""

import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from ecgkit.datasets.budget import check_inflated, check_memory
from ecgkit.errors import RecordError

_HEADER_BYTES, _COMPRESSED = 128, 15
_VERSION_5 = (b"\x00\x01", b"\x01\x00")


def load_struct(file: Path, name: str) -> dict[str, Any]:
    """Return the fields of a struct as arrays, numbers and strings.

    Raises:
        RecordError: The file contains no such struct.
    """
    value = _load(file, [name]).get(name)
    if not isinstance(value, dict):
        raise RecordError(f"{file.name} contains no struct {name}")
    return value


def load_arrays(file: Path) -> dict[str, NDArray]:
    """Return all numeric arrays of a file by name, in their own shapes; a number is an array of one element.

    The fields of a struct are returned by their own names.

    Raises:
        RecordError: The file unpacks to more than a record's budget, or an array claims more.
    """
    raw = file.read_bytes()
    check_inflated(compressed_elements(raw), file.name)
    for name, shape, _ in whosmat(io.BytesIO(raw)):
        check_memory(math.prod(shape), f"{name} in {file.name}")
    content = {name: v for name, v in loadmat(io.BytesIO(raw)).items() if isinstance(v, np.ndarray)}
    structs = [v for v in content.values() if v.dtype.names and v.size == 1]
    fields = {name: one[name].flat[0] for one in structs for name in one.dtype.names or ()}
    return {name: v for name, v in {**content, **fields}.items() if _is_numeric(v)}


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _load(file: Path, names: list[str] | None) -> dict[str, Any]:
    raw = file.read_bytes()
    check_inflated(compressed_elements(raw), file.name)
    content = loadmat(io.BytesIO(raw), variable_names=names, simplify_cells=True)
    return {name: value for name, value in content.items() if not name.startswith("__")}


def compressed_elements(raw: bytes) -> Iterator[bytes]:
    """Yield the compressed elements of a file of version 5 to 7.2.

    Source: "MAT-File Format", The MathWorks, sections "Level 5 MAT-File Format" and "Data Compression".
    """
    order = "<" if raw[126:128] == b"IM" else ">"
    at = _HEADER_BYTES
    while raw[124:126] in _VERSION_5 and at + 8 <= len(raw):
        kind, size = struct.unpack_from(f"{order}II", raw, at)
        if kind == _COMPRESSED:
            yield raw[at + 8 : at + 8 + size]
        at += 8 + size
