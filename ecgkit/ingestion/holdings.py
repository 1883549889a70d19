"""What a folder holds: its files by kind and count, and how each kind of recording is ingested."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ecgkit.datasets.containers import OPENERS
from ecgkit.datasets.vendor.kinds import SUFFIXES as DEVICES
from ecgkit.packed.archive import is_packed

SHOWN = 5
LOOKED_AT = 20_000  # files, since a folder may hold millions
HEADER = ".hea"
# Files of a kind that the layouts of any folder take, and how the user says so.
TAKEN_BY = {
    HEADER: "--dataset wfdb",
    **dict.fromkeys(DEVICES, "--dataset vendor"),
    **dict.fromkeys(OPENERS, "--dataset arrays"),
}
PACKED = "name the file itself"
GENERAL = ("wfdb", "vendor", "arrays")


def held(root: Path) -> str:
    """Say in words what a folder holds: its files by kind and count, the most frequent first."""
    kinds = _kinds(root)
    most = [_said(kind, count) for kind, count in kinds.most_common(SHOWN)]
    rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(SHOWN))
    return ", ".join(most) + (f" and {rest:,} others" if rest else "") or "no file"


def left_out(root: Path, layout: str) -> list[str]:
    """Say which recordings of other kinds lie in a folder of which a layout takes one kind.

    Args:
        root: The folder.
        layout: Name of the layout. Those of published archives know their own folders, so nothing is said of them.

    Returns:
        No line or one.
    """
    if layout not in GENERAL:
        return []
    own = f"--dataset {layout}"
    kinds = _kinds(root)
    others = [
        _said(kind, count)
        for kind, count in kinds.most_common()
        if (by := _taken_by(kind)) and by != own and not (layout == "wfdb" and kind == ".mat" and kinds[HEADER])
    ]
    return [f"not taken, since they are of another kind: {', '.join(others[:SHOWN])}"] if others else []


def _kinds(root: Path) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for file in islice(_files(root), LOOKED_AT):
        kinds[file.suffix.lower() or "no suffix"] += 1
    return kinds


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files at any depth; a Zarr folder is one. What cannot be read, which the ledger names, is left out."""
    with suppress(OSError):
        for entry in folder.iterdir():
            if entry.suffix == ".zarr" or not entry.is_dir():
                yield entry
            elif not os.path.islink(str(entry)):
                yield from _files(entry)


def _said(kind: str, count: int) -> str:
    by = _taken_by(kind)
    return f"{count:,} {'files' if count > 1 else 'file'} {kind}" + (f" ({by})" if by else "")


def _taken_by(kind: str) -> str:
    return PACKED if is_packed(f"x{kind}") or kind in (".gz", ".bz2", ".xz") else TAKEN_BY.get(kind, "")
