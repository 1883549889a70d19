"""Open files that hold arrays (``.npy``, ``.npz``, HDF5, Zarr, MATLAB) without reading them whole.

Only plain numbers and texts are read: no pickled objects, and nothing that lies outside the file. Sizes are compared
with the file's real size, or with a budget of memory, before memory is taken.
"""

import hashlib
import io
import math
import mmap
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ecgkit.datasets.budget import check_inflated, check_memory
from ecgkit.datasets.matlab import check_matrices, compressed_elements
from ecgkit.datasets.paths import check_inside, is_local, size_and_time, stamp_of
from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError, RecordError

# Bytes of an array per byte on the disk, at most; beyond that it is mostly a hole.
MOST_PACKED = 5000
NUMBERS, TEXTS = "iuf", "SUOT"
# An HDF5 file of version 7.3 of MATLAB begins with this text too.
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZARR_METADATA = ("zarr.json", ".zarray", ".zmetadata", ".zgroup")
_MATLAB_CLASSES = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@dataclass(frozen=True, eq=False)
class Container:
    """What a file holds. A file that was changed is another container, and so are things cached of it.

    Args:
        arrays: Arrays of numbers by name. Each has a shape and a dtype, and reads what an index selects.
        attributes: Single numbers and texts by name, such as the sampling rate.
        texts: Lists of texts by name, such as lead names or ids.
        stamp: Text that changes with the sizes and times of the files that hold it.
    """

    arrays: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stamp: str = ""

    def lists(self, length: int, *, but: str | None = None, named: str = "") -> dict[str, list[str | None]]:
        """Return the lists of a length, such as ids or labels, with all values as texts.

        Args:
            length: The length.
            but: Name of an array that is left out.
            named: Name of a list that has none in the file.
        """
        found: dict[str, list[str | None]] = {}
        for name, array in self.arrays.items():
            if max(array.shape, default=0) == math.prod(array.shape) == length and name != but:
                found[name or named] = [_cell(value) for value in np.asarray(array[...]).reshape(-1).tolist()]
        for name, values in self.texts.items():
            if len(values) == length:
                found[name or named] = [value or None for value in values]
        return found


def open_container(root: Path, path: str) -> Container:
    """Open a file of a dataset, once per process unless it is changed.

    Args:
        root: The dataset's folder.
        path: Path of the file, relative to it.

    Raises:
        DatasetError: A package that the file needs is not installed.
        RecordError: The file is of no known kind, is damaged, or would take too much memory.
    """
    return _opened(root, path, stamp_of(root, path))


@lru_cache(maxsize=64)
def _opened(root: Path, path: str, stamp: tuple[int, int]) -> Container:
    opener = OPENERS.get(suffix_of(path))
    check_inside(root, path)
    if opener is None:
        raise RecordError(f"{path} is of no known kind", f"one of {' '.join(OPENERS)}")
    return replace(opener(root / path), stamp=_stamp(root, path))


def _stamp(root: Path, path: str) -> str:
    """Return a text that changes with the files of an array, which may be a folder."""
    file = root / path
    inside = sorted(entry for entry in file.rglob("*") if entry.is_file()) if file.is_dir() else [file]
    states = [size_and_time(root, f"{path}{str(entry).removeprefix(str(file))}") for entry in inside]
    return hashlib.sha256(repr(states).encode()).hexdigest()


def check_held(name: str, claimed: int, held: int) -> None:
    """Refuse an array that is mostly a hole: one that claims far more bytes than the disk holds of it.

    Args:
        name: Name of the array, for the error.
        claimed: Bytes of the array.
        held: Bytes on the disk.

    Raises:
        RecordError: The array is mostly a hole.
    """
    if claimed > 1 << 20 and claimed > held * MOST_PACKED:
        raise RecordError(f"{name} claims {claimed / 1e9:,.1f} GB, but the disk holds only {held} bytes of it")


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case."""
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""


def _open_npy(file: Path) -> Container:
    with file.open("rb") as stream:
        shape, dtype, offset, fortran = _npy_header(stream, file.name)
    status, wanted = file.stat(), offset + math.prod(shape) * dtype.itemsize
    if status.st_size < wanted:
        raise RecordError(f"{file.name} is cut short: {status.st_size} bytes", f"{wanted} bytes")
    if is_local(file):
        check_held(file.name, wanted, status.st_blocks * 512)
        return _single(_mapped(file, dtype, offset, shape, is_fortran=fortran))
    check_memory(math.prod(shape), file.name, dtype.itemsize)
    return _single(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False))


def _mapped(file: Path, dtype: np.dtype, offset: int, shape: tuple[int, ...], *, is_fortran: bool) -> np.ndarray:
    if not math.prod(shape):  # what is empty cannot be mapped
        return np.empty(shape, dtype)
    mapped = np.memmap(file, dtype, "r", offset, shape, "F" if is_fortran else "C")
    mapped._mmap.madvise(mmap.MADV_SEQUENTIAL)  # type: ignore[attr-defined]  # records are read in their order
    return mapped


def _single(array: Any) -> Container:
    return Container({"": array}) if array.dtype.kind in NUMBERS else Container({}, texts={"": _texts(array)})


def _npy_header(stream: Any, name: str) -> tuple[tuple[int, ...], np.dtype, int, bool]:
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if dtype.kind not in NUMBERS + "SU":
        raise RecordError(f"{name} holds {dtype}", "numbers")
    return tuple(shape), dtype, stream.tell(), bool(fortran)


def _open_npz(file: Path) -> Container:
    """Open an archive of arrays. An array that is not compressed is mapped; others are read on first use."""
    parts: dict[str, Any] = {}
    with file.open("rb") as raw, zipfile.ZipFile(raw) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name == member.filename or member.flag_bits & 1:
                continue
            with archive.open(member) as stream:
                try:
                    shape, dtype, offset, fortran = _npy_header(stream, f"{file.name}[{name}]")
                except RecordError:  # objects; other arrays of the file may be numbers
                    continue
            if member.file_size < offset + math.prod(shape) * dtype.itemsize:
                raise RecordError(f"{name} in {file.name} is cut short: {member.file_size} bytes")
            if member.compress_type == zipfile.ZIP_STORED and is_local(file):
                start = _data_offset(raw, member) + offset
                parts[name] = _mapped(file, dtype, start, shape, is_fortran=fortran)
            else:
                parts[name] = _Packed(file, member.filename, shape, dtype)
    return _sorted_out(parts)


def _data_offset(raw: Any, member: zipfile.ZipInfo) -> int:
    """Return where a member's data begin: after its local header (APPNOTE.TXT 4.3.7), its name and its extra field."""
    raw.seek(member.header_offset + 26)
    lengths = raw.read(4)
    return member.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")


class _Packed:
    """An array in a compressed archive. It is unpacked on first use, if memory allows."""

    def __init__(self, file: Path, member: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.file, self.member, self.shape, self.dtype, self.ndim = file, member, shape, dtype, len(shape)
        self._array: np.ndarray | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._array is None:
            check_memory(math.prod(self.shape), f"{self.member} in {self.file.name}", self.dtype.itemsize)
            with self.file.open("rb") as raw, zipfile.ZipFile(raw) as archive, archive.open(self.member) as stream:
                self._array = npy.read_array(stream, allow_pickle=False)
        return self._array[index]


def _open_hdf5(file: Path) -> Container:
    if find_spec("h5py") is None:
        raise DatasetError(f"{file.name} needs the package h5py, which is not installed", remedy=install_extra("hdf5"))
    import h5py

    source = h5py.File(file if is_local(file) else file.open("rb"), "r")
    parts = dict(_hdf5_parts(source, "", file.name))
    attributes = {name: value for name, value in source.attrs.items() if np.ndim(value) == 0}
    for part in parts.values():
        attributes |= {name: value for name, value in part.attrs.items() if np.ndim(value) == 0}
    lists = {name: value for name, value in source.attrs.items() if np.ndim(value) == 1}
    return _sorted_out({**lists, **parts}, attributes)


def _hdf5_parts(group: Any, above: str, file: str) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a group and of the groups below it. What lies in another file is refused."""
    import h5py

    for name in group:
        link, path = group.get(name, getlink=True), f"{above}{name}"
        if isinstance(link, h5py.ExternalLink):
            raise RecordError(f"{path} in {file} is a link to the file {link.filename[:80]!r}", "arrays in the file")
        if isinstance(link, h5py.SoftLink):
            continue
        part = group[name]
        if isinstance(part, h5py.Group):
            yield from _hdf5_parts(part, f"{path}/", file)
        elif part.external or part.is_virtual:
            raise RecordError(f"{path} in {file} keeps its samples in another file", "arrays in the file")
        elif part.dtype.kind != "O" or h5py.check_string_dtype(part.dtype):
            check_held(f"{path} in {file}", part.nbytes, part.id.get_storage_size())
            yield path, part


def _open_zarr(folder: Path) -> Container:
    import zarr
    from zarr.core.group import Group

    held = _check_folder(folder)
    source = zarr.open(str(folder), mode="r")
    if not isinstance(source, Group):
        check_held(folder.name, source.nbytes, held)
        return Container({"": source}, dict(source.attrs))
    arrays: dict[str, Any] = {name: source[name] for name in source.array_keys()}
    parts = {name: array for name, array in arrays.items() if array.dtype.kind != "O"}
    for name, part in parts.items():
        check_held(f"{name} in {folder.name}", part.nbytes, held)
    attributes = dict(source.attrs)
    for part in parts.values():
        attributes |= dict(part.attrs)
    lists = {name: value for name, value in attributes.items() if isinstance(value, list)}
    scalars = {name: value for name, value in attributes.items() if isinstance(value, int | float | str)}
    return _sorted_out({**lists, **parts}, scalars)


def _check_folder(folder: Path) -> int:
    """Refuse links, and codecs that unpickle. Returns the bytes that the folder holds.

    Raises:
        RecordError: The folder holds what an array of numbers does not need.
    """
    held = 0
    for entry in folder.rglob("*"):
        if is_local(folder) and entry.is_symlink():
            raise RecordError(f"{folder.name} holds a link, {entry.name[:80]!r}", "arrays in the folder itself")
        if entry.name in _ZARR_METADATA and b"pickle" in entry.read_bytes().lower():
            raise RecordError(f"{folder.name} holds pickled objects", "arrays of numbers")
        held += entry.stat().st_size if entry.is_file() else 0
    return held


def _open_mat(file: Path) -> Container:
    from scipy.io import loadmat, whosmat  # slow to import

    with file.open("rb") as stream:
        head = stream.read(128 * 5)
    if head.startswith(_HDF5_MAGIC) or _HDF5_MAGIC in head or b"MATLAB 7.3" in head[:32]:
        return _open_hdf5(file)
    content = file.read_bytes()
    check_inflated(compressed_elements(content), file.name)
    check_matrices(content, file.name)
    listed = whosmat(io.BytesIO(content), appendmat=False)
    numeric = [(name, shape) for name, shape, kind in listed if kind in _MATLAB_CLASSES]
    for name, shape in numeric:
        check_memory(math.prod(shape), f"{name} in {file.name}")
    texts = [name for name, shape, kind in listed if kind in ("char", "cell") and math.prod(shape) < 1 << 20]
    wanted = [name for name, _ in numeric] + texts
    loaded = (
        loadmat(io.BytesIO(content), variable_names=wanted, appendmat=False, chars_as_strings=True) if wanted else {}
    )
    return _sorted_out({name: _plain_cell(loaded[name]) for name in wanted if name in loaded})


def _plain_cell(value: Any) -> Any:
    """Return a cell array of texts as a list of texts, and any other value as it is."""
    if value.dtype.kind != "O":
        return value
    return [str(cell.item()) if isinstance(cell, np.ndarray) and cell.size == 1 else "" for cell in value.flat]


def _sorted_out(parts: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> Container:
    """Sort what a file holds into arrays, single values and lists of texts."""
    arrays: dict[str, Any] = {}
    single: dict[str, Any] = dict(attributes or {})
    texts: dict[str, tuple[str, ...]] = {}
    for name, part in parts.items():
        shape = np.shape(part) if isinstance(part, list) else tuple(part.shape)
        kind = np.asarray(part).dtype.kind if isinstance(part, list) else part.dtype.kind
        if math.prod(shape) == 1 and len(shape) < 3 and not isinstance(part, list):
            single[name] = np.asarray(part[()]).reshape(-1)[0]
        elif kind in NUMBERS:
            arrays[name] = np.asarray(part) if isinstance(part, list) else part
        elif kind in TEXTS and len(shape) <= 2 and max(shape, default=0) == math.prod(shape):
            texts[name] = _texts(part if isinstance(part, list) else part[()])
    return Container(arrays, {name: _decoded(value) for name, value in single.items()}, texts)


def _cell(value: float) -> str | None:
    if value != value:  # NaN
        return None
    return str(int(value)) if value == int(value) else str(value)


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(_decoded(value)).strip() for value in np.asarray(values).reshape(-1))


def _decoded(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


OPENERS: Mapping[str, Callable[[Path], Container]] = {
    ".npy": _open_npy,
    ".npz": _open_npz,
    ".h5": _open_hdf5,
    ".hdf5": _open_hdf5,
    ".hdf": _open_hdf5,
    ".zarr": _open_zarr,
    ".mat": _open_mat,
}
