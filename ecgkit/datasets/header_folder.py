"""Base of layouts in which each WFDB header is one record, as in many challenges and PhysioNet folders."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.paths import is_local
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.walk import Refused, walk

HEADER = ".hea"
# Downloads nest their folders. The deepest known layout is training/SOURCE/gN/.
_DEEPEST = 5


class HeaderFolder(Dataset):
    """A dataset with one record per header. Each subclass says which header names belong to it.

    Labels, age and sex come from the header's comments (``Dx``, ``Age``, ``Sex``).
    """

    names: ClassVar[re.Pattern[str]]
    code_system = "snomed"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether all headers of the first folder that holds headers belong to this dataset."""
        folder, names = first_headers(root)
        return bool(names) and all(cls.names.fullmatch(name) for name in names) and cls.fits(folder, names[0])

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return False: names of headers are no proof."""
        return False

    @classmethod
    def fits(cls, folder: Path, name: str) -> bool:
        """Return whether a header belongs to this dataset, judged here by its name alone.

        Args:
            folder: Folder of the header.
            name: Name of the header, without suffix.
        """
        return True

    def sources(self) -> Sequence[Source]:
        """List every header below the folder."""
        paths, self.not_entered = headers_below(self.root)
        return Spool(self.source(path) for path in paths)

    def source(self, path: str) -> Source:
        """Return what the path of a record says about it."""
        return Source(record_id=path.rpartition("/")[2], path=path)


def headers_below(root: Path) -> tuple[list[str], list[Refused]]:
    """Return the paths of all headers below a folder in order, relative to it and without suffix.

    The second list names the folders that were not entered; see `ecgkit.datasets.walk`.
    """
    if is_local(root):
        found, refused = walk(root, HEADER)
    else:
        found, refused = [relative(root, file) for file in root.rglob(f"*{HEADER}")], []
    found[:] = [path.removesuffix(HEADER) for path in found]
    found.sort()
    return found, refused


def relative(root: Path, file: Path) -> str:
    """Return the path of a file below a folder, relative to it."""
    if is_local(root):
        return file.relative_to(root).as_posix()
    return str(file).removeprefix(str(root)).lstrip("/")


def first_headers(root: Path, suffix: str = HEADER) -> tuple[Path, list[str]]:
    """Find the first folder, from the root down and in order, that holds headers. Returns it and their names in order.

    Args:
        root: Folder to begin with.
        suffix: Suffix of the files to look for.
    """
    level = [root]
    for _ in range(_DEEPEST):
        below: list[Path] = []
        for folder in level:
            entries = sorted(os.listdir(folder) if is_local(folder) else (entry.name for entry in folder.iterdir()))
            names = [entry.removesuffix(suffix) for entry in entries if entry.endswith(suffix)]
            if names:
                return folder, names
            # Skip names that look like files: checking whether each one is a folder would cost a call per file.
            likely = (entry for entry in entries if not os.path.splitext(entry)[1][1:2].isalpha())
            below += [folder / entry for entry in likely if (folder / entry).is_dir()]
        # One branch of each tree is enough to recognise a layout.
        level = below[:2]
    return root, []
