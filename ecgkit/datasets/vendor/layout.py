"""A folder of ECG files as devices and hospital systems write them, in any mixture of kinds, or one such file.

The record id is the file's path. Patient, report, measurements, device and time come from the file; see `facts`.
"""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import size_and_time
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.vendor.contents import header_of, recording_from
from ecgkit.datasets.vendor.kinds import HEAD, SUFFIXES, is_candidate, kind_of
from ecgkit.datasets.vendor.reading import read_contents
from ecgkit.datasets.walk import walk_named
from ecgkit.datasets.wfdb_record import one_error
from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError
from ecgkit.recording import Recording

PACKAGES = ("ecgdatakit", "edfio", "pydicom", "defusedxml")


class VendorFiles(Dataset):
    """Files of vendors, each with one recording."""

    name = "vendor"
    takes_table = True
    takes_file = True

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether this is a file of a known kind or with the suffix of one, or a folder with known files."""
        if root.is_dir():
            return any(_is_known(root, path) for path in walk_named(root, is_candidate)[0])
        return _is_announced(root.name) or _is_known(root.parent, root.name)

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return False: such files may lie beside the records of any dataset."""
        return False

    def sources(self) -> Sequence[Source]:
        """List every file of a known kind, and every other file with the suffix of one, which the ledger will tell.

        Raises:
            DatasetError: A package that reads the files is not installed.
        """
        missing = [package for package in PACKAGES if find_spec(package) is None]
        if missing:
            raise DatasetError(
                f"files of vendors need packages that are not installed: {', '.join(missing)}",
                remedy=install_extra("vendor"),
            )
        if not self.root.is_dir():
            return [Source(record_id=self.root.name, path=self.root.name)]
        candidates, self.not_entered = walk_named(self.root, is_candidate)
        found = (path for path in candidates if _is_announced(path) or _is_known(self.root, path))
        return Spool(Source(record_id=path, path=path) for path in found)

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        return self.root if self.root.is_dir() else self.root.parent

    def header(self, source: Source) -> Header:
        """Read what a file says of its recording. Files of most kinds have to be read whole for it."""
        contents = read_contents(self.folder, source.path)
        with one_error(source.path, "an ECG"):
            changed = str(size_and_time(self.folder, source.path))
            return replace(header_of(contents, self.given.naming), stamp=changed)

    def read(self, source: Source, header: Header) -> Recording:
        """Read the recording of a file."""
        contents = read_contents(self.folder, source.path)
        with one_error(source.path, "an ECG"):
            return recording_from(contents, header, source.path)


def _is_announced(path: str) -> bool:
    """Return whether a file's suffix says that it is an ECG."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def _is_known(root: Path, path: str) -> bool:
    """Return whether a regular file is of a known kind; anything that cannot be opened is not."""
    file = root / path
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            return kind_of(stream.read(HEAD), file.name) is not None
    except OSError:
        return False
