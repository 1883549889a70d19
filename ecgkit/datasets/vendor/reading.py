"""Read one file of any kind into `Contents`; the libraries are imported when they are needed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.paths import check_inside, is_local, size_and_time
from ecgkit.datasets.vendor import kinds, safety
from ecgkit.datasets.vendor.contents import Contents
from ecgkit.datasets.vendor.kinds import HEAD, Kind, kind_of
from ecgkit.datasets.wfdb_record import one_error
from ecgkit.errors import RecordError


def read_contents(root: Path, path: str) -> Contents:
    """Read a file.

    Args:
        root: The folder.
        path: The file's path relative to it.

    Raises:
        RecordError: The file is missing, leads out of the folder, is of no known kind, is damaged, or is too large.
    """
    check_inside(root, path)
    with one_error(path, "an ECG file"), _here(root, path) as file:
        kind = _kind(file, path)
        safety.check_size(kind, file.stat().st_size, path)
    with one_error(path, kind.name), _here(root, path) as file:
        return _read(kind, file)


def _kind(file: Path, path: str) -> Kind:
    if not file.is_file():
        raise RecordError(f"{path} is not a regular file")
    with file.open("rb") as stream:
        head = stream.read(HEAD)
    kind = kind_of(head, path.rpartition("/")[2])
    if kind is None:
        what = "is empty" if not head else "is of no known kind"
        raise RecordError(f"{path} {what}", f"one of {', '.join(kind.name for kind in kinds.KINDS)}")
    return kind


@contextmanager
def _here(root: Path, path: str) -> Iterator[Path]:
    """Yield a file of this machine with the content of a file of the dataset."""
    if is_local(root):
        yield root / path
        return
    check_memory(size_and_time(root, path)[0], path, bytes_per_sample=1)
    with tempfile.TemporaryDirectory(prefix="ecgkit-") as folder:
        copy = Path(folder) / path.rpartition("/")[2]
        copy.write_bytes((root / path).read_bytes())
        yield copy


def _read(kind: Kind, file: Path) -> Contents:
    """Call the module that reads a kind; a module loads its library."""
    if kind in (kinds.EDF, kinds.BDF):
        from ecgkit.datasets.vendor.edf import read_edf

        return read_edf(file, kind)
    if kind is kinds.HEALFORCE:
        from ecgkit.datasets.vendor.healforce import read_healforce

        return read_healforce(file)
    from ecgkit.datasets.vendor.with_ecgdatakit import read_with_ecgdatakit

    return read_with_ecgdatakit(file, kind)
