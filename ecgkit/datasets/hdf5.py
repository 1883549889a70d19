"""Open HDF5 files with h5py, and refuse arrays whose samples lie in other files."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ecgkit.datasets.paths import check_inside, is_local
from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError, RecordError


def need_hdf5(what: str) -> None:
    """Check that h5py is installed.

    Raises:
        DatasetError: It is not.
    """
    if find_spec("h5py") is None:
        raise DatasetError(f"{what} needs the package h5py, which is not installed", remedy=install_extra("hdf5"))


def open_hdf5(root: Path, path: str) -> Any:
    """Return an open HDF5 file, given its path relative to the dataset's folder.

    Raises:
        RecordError: The path leads out of the folder.
        OSError: The file is missing or damaged.
    """
    import h5py

    check_inside(root, path)
    file = root / path
    return h5py.File(file if is_local(root) else file.open("rb"), "r")


def array_in(file: Any, name: str) -> Any:
    """Return an array of an open file; its samples are read when it is sliced.

    Raises:
        RecordError: There is no such array, or its samples lie in another file.
    """
    import h5py

    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise RecordError(f"the HDF5 file holds no array {name} of its own")
    array = file[name]
    if array.external or array.is_virtual:
        raise RecordError(f"the samples of {name} lie in another file")
    return array
