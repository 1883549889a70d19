"""Any folder of WFDB records: every header below it that is not a segment of another record; or one record alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header_folder import HEADER, headers_below
from ecgkit.datasets.paths import beside, read_bytes
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.wfdb_segments import segment_names
from ecgkit.errors import RecordError

# Suffixes of signal files that usually have the name of their header.
_SIGNALS = (".dat", ".mat")


class WfdbFolder(Dataset):
    """A folder of WFDB records of any kind. Record ids are paths; labels come from ``Dx`` comments, if any."""

    name = "wfdb"
    code_system = "dx"
    takes_table = True
    takes_file = True

    def __init__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> None:
        only = _record_of(root)
        super().__init__(root.parent if only else root, fs=fs, given=given)
        self._only = only

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether a WFDB header lies anywhere below the folder, or whether the file is one of a record."""
        return bool(_record_of(root)) or next(iter(root.rglob(f"*{HEADER}")), None) is not None

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return False: WFDB records lie in the folders of many datasets."""
        return False

    def sources(self) -> Sequence[Source]:
        """List every record once; the segments of a multi-segment record are not listed on their own."""
        if self._only:
            return [Source(record_id=self._only, path=self._only)]
        paths, self.not_entered = headers_below(self.root)
        parts, composed = set[str](), set[str]()
        for path in paths:
            own = list(self._segments(path))
            parts.update(own)
            composed |= {path} if own else set()
        # A header that has segments is never itself a segment: two headers that name each other must not both vanish.
        return Spool(Source(record_id=path, path=path) for path in paths if path in composed or path not in parts)

    def _segments(self, path: str) -> Iterator[str]:
        """Yield the segments that a multi-segment header names; yield nothing for any other header."""
        try:
            raw = read_bytes(self.root, f"{path}{HEADER}")
            names = segment_names(raw)
        except (OSError, RecordError):  # reported when the header is read as a record
            return
        for name in dict.fromkeys(names):
            yield beside(path, name)


def _record_of(root: Path) -> str:
    """Return the record that a header, or a signal file with a header of its name, belongs to; empty for a folder."""
    name = PurePosixPath(root.name)
    if name.suffix not in (HEADER, *_SIGNALS) or not root.is_file():
        return ""
    return name.stem if (root.parent / f"{name.stem}{HEADER}").is_file() else ""
