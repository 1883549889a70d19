"""Read arrays from Matlab files (versions 4 to 7.2) with scipy, which only reads data and runs no code."""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.budget import check_inflated, check_memory
from ecgkit.errors import RecordError

_HEADER_BYTES, _MATRIX, _COMPRESSED = 128, 14, 15
_INT32, _UINT32 = 5, 6
_PLAIN = frozenset((1, 2, 3, 4, _INT32, _UINT32, 7, 9, 12, 13, 16, 17, 18))  # types of numbers and of text
_TEXT = frozenset((1, 2, 16))  # types of a name
_CELL, _STRUCT, _OBJECT, _SPARSE, _FUNCTION = 1, 2, 3, 5, 16  # classes of a matrix
_COMPLEX = 0x800  # flag of a matrix
_DEEPEST = 64  # matrices in each other
_BEGIN = 4096  # bytes that hold the header of a matrix of numbers
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
    from scipy.io import loadmat, whosmat  # slow to import

    raw = file.read_bytes()
    check_inflated(compressed_elements(raw), file.name)
    check_matrices(raw, file.name)
    for name, shape, _ in whosmat(io.BytesIO(raw)):
        check_memory(math.prod(shape), f"{name} in {file.name}")
    content = {name: v for name, v in loadmat(io.BytesIO(raw)).items() if isinstance(v, np.ndarray)}
    structs = [v for v in content.values() if v.dtype.names and v.size == 1]
    fields = {name: one[name].flat[0] for one in structs for name in one.dtype.names or ()}
    return {name: v for name, v in {**content, **fields}.items() if _is_numeric(v)}


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iuf"


def _load(file: Path, names: list[str] | None) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import

    raw = file.read_bytes()
    check_inflated(compressed_elements(raw), file.name)
    check_matrices(raw, file.name)
    content = loadmat(io.BytesIO(raw), variable_names=names, simplify_cells=True)
    return {name: value for name, value in content.items() if not name.startswith("__")}


def check_matrices(raw: bytes, name: str) -> None:
    """Refuse a file of version 5 to 7.2 whose parts have types that they cannot have; scipy would end the process.

    Args:
        raw: The file.
        name: Its name.

    Raises:
        RecordError: The file is damaged.
    """
    if raw[124:126] not in _VERSION_5:
        return
    order = _order(raw)
    for kind, body in _elements(memoryview(raw), _HEADER_BYTES, order):
        try:
            if kind == _COMPRESSED:
                _check_compressed(body, order)
            elif kind == _MATRIX:
                _check_matrix(body, order)
        except (struct.error, zlib.error, ValueError) as error:
            raise RecordError(f"{name} is damaged ({error})", "a sound MATLAB file") from None


def _check_compressed(body: memoryview, order: str) -> None:
    """Check the matrix of a compressed element; of numbers only the header is unpacked."""
    unpacker = zlib.decompressobj()
    begin = unpacker.decompress(body, _BEGIN)
    kind, _ = struct.unpack_from(f"{order}II", begin)
    if kind != _MATRIX:
        return
    flags = struct.unpack_from(f"{order}I", begin, 16)[0]
    if _CELL <= flags & 0xFF <= _OBJECT or flags & 0xFF >= _FUNCTION or flags & 0xFF == _SPARSE or flags & _COMPLEX:
        begin += unpacker.decompress(unpacker.unconsumed_tail) + unpacker.flush()
    _check_matrix(memoryview(begin)[8:], order)


def _check_matrix(body: memoryview, order: str, depth: int = 0) -> None:
    """Check the types of the elements of a matrix, and of those in it.

    Raises:
        ValueError: One is not what its place asks for.
        struct.error: The matrix ends too early.
    """
    if not len(body):
        return
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} matrices in each other")
    parts = list(_elements(body, 0, order))
    flags = struct.unpack_from(f"{order}I", body, 8)[0]
    kinds, of = [kind for kind, _ in parts], flags & 0xFF
    head = 6 if of == _OBJECT else 5 if of == _STRUCT else 3  # flags, shape, name; name of a class, names of fields
    is_headed = len(kinds) >= 3 and kinds[0] == _UINT32 and kinds[1] in (_INT32, _UINT32) and kinds[2] in _TEXT
    rest = parts[head:] if of < _FUNCTION else parts
    if of < _FUNCTION and not (is_headed and set(kinds[3:head]) <= _PLAIN):
        raise ValueError("a matrix without its header")
    if of in (_CELL, _STRUCT, _OBJECT):
        is_sound = all(kind == _MATRIX for kind, _ in rest)
    elif of < _FUNCTION:
        wanted = (3 if of == _SPARSE else 1) + bool(flags & _COMPLEX)
        is_sound = len(rest) >= wanted and all(kind in _PLAIN for kind, _ in rest[:wanted])
    else:
        is_sound = all(kind in _PLAIN or kind == _MATRIX for kind, _ in rest)
    if not is_sound:
        raise ValueError("a matrix holds what its class cannot hold")
    for kind, inner in rest:
        if kind == _MATRIX:
            _check_matrix(inner, order, depth + 1)


def _elements(data: memoryview, at: int, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the elements of a file, or of a matrix."""
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element lies in its own tag
            yield kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)]
            at += 8
            continue
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + (0 if kind == _COMPRESSED else -size % 8)


def _order(raw: bytes) -> str:
    return "<" if raw[126:128] == b"IM" else ">"


def compressed_elements(raw: bytes) -> Iterator[bytes]:
    """Yield the compressed elements of a file of version 5 to 7.2.

    Source: "MAT-File Format", The MathWorks, sections "Level 5 MAT-File Format" and "Data Compression".
    """
    order = _order(raw)
    at = _HEADER_BYTES
    while raw[124:126] in _VERSION_5 and at + 8 <= len(raw):
        kind, size = struct.unpack_from(f"{order}II", raw, at)
        if kind == _COMPRESSED:
            yield raw[at + 8 : at + 8 + size]
        at += 8 + size
