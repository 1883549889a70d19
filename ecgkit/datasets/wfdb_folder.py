"""Any folder of WFDB records: every header below it that is not a segment of another record."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.wfdb_header import wfdb_lines


class WfdbFolder(Dataset):
    """A folder of WFDB records of any kind; ids are paths, labels come from ``Dx`` comments where there are some."""

    name = "wfdb"
    code_system = "dx"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether a WFDB header lies anywhere below the folder."""
        return next(root.rglob("*.hea"), None) is not None

    def sources(self) -> Sequence[Source]:
        """List every record once: the segments of a multi-segment record belong to it."""
        segments = {header: set(_segments(header)) for header in sorted(self.root.rglob("*.hea"))}
        parts = set().union(*segments.values())
        # A header that has segments is never a part itself: two that name each other must not both vanish.
        whole = [header for header, own in segments.items() if own or header not in parts]
        names = [header.with_suffix("").relative_to(self.root).as_posix() for header in whole]
        return [Source(record_id=name, path=name) for name in names]


def _segments(header: Path) -> Iterator[Path]:
    """Yield the headers of the segments that a multi-segment header names; nothing for any other header."""
    try:
        lines = wfdb_lines(header.read_bytes())
    except OSError:  # told when the header is read as a record's
        return
    if lines and "/" in lines[0].split()[0]:
        for line in lines[1:]:
            yield header.parent / f"{line.split()[0]}.hea"
