"""Any folder of WFDB records: every header below it that is not a segment of another record."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ecgkit.datasets.base import Dataset, Source


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
        headers = sorted(self.root.rglob("*.hea"))
        segments = {segment for header in headers for segment in _segments(header)}
        names = [
            header.with_suffix("").relative_to(self.root).as_posix() for header in headers if header not in segments
        ]
        return [Source(record_id=name, path=name) for name in names]


def _segments(header: Path) -> Iterator[Path]:
    """Yield the headers of the segments that a multi-segment header names; nothing for any other header."""
    lines = [line for line in header.read_text("latin-1").splitlines() if line.strip() and not line.startswith("#")]
    if lines and "/" in lines[0].split()[0]:
        for line in lines[1:]:
            yield header.with_name(f"{line.split()[0]}.hea")
