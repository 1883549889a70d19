"""A path in an archive, with the part of the interface of `pathlib.Path` that readers of datasets use."""

import io
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from ecgkit.packed.archive import Archive


class Status(NamedTuple):
    """What is known of a member without reading it: its size, and the time of the archive's last change."""

    st_size: int
    st_mtime: float


class PackedPath:
    """A file or folder in an archive.

    It is no `Path` and has no ``__fspath__``: a reader that needs a file of the machine must copy its bytes.

    Args:
        archive: The archive.
        path: Path in it; empty for the archive itself.
    """

    def __init__(self, archive: Archive, path: str = "") -> None:
        self.archive = archive
        self.path = path

    def __truediv__(self, other: str) -> "PackedPath":
        return PackedPath(self.archive, f"{self.path}/{other}".strip("/"))

    def __str__(self) -> str:
        return f"{self.archive.file}/{self.path}".rstrip("/")

    def __repr__(self) -> str:
        return f"PackedPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PackedPath) and str(self) == str(other)

    def __lt__(self, other: "PackedPath") -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(str(self)).name

    @property
    def stem(self) -> str:
        """Last part of the path without its suffix."""
        return PurePosixPath(str(self)).stem

    @property
    def suffix(self) -> str:
        """Suffix of the last part, such as ``.hea``."""
        return PurePosixPath(self.path).suffix

    @property
    def parent(self) -> "PackedPath | Path":
        """The folder above; above the archive itself, the folder in which it lies."""
        return PackedPath(self.archive, self.path.rpartition("/")[0]) if self.path else self.archive.file.parent

    def resolve(self) -> "PackedPath":
        """Return this path: an archive has no links."""
        return self

    def is_file(self) -> bool:
        """Return whether there is a file at this path."""
        return self.archive.member(self.path) is not None

    def is_dir(self) -> bool:
        """Return whether there is a folder at this path."""
        return self.archive.is_folder(self.path)

    def exists(self) -> bool:
        """Return whether there is a file or folder at this path."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator["PackedPath"]:
        """Yield the files and folders that lie directly in this folder."""
        return (PackedPath(self.archive, path) for path in self.archive.children(self.path))

    def glob(self, pattern: str) -> Iterator["PackedPath"]:
        """Yield the paths directly in this folder whose names match a pattern."""
        return (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str) -> Iterator["PackedPath"]:
        """Yield the paths at any depth whose names match a pattern."""
        found = (PackedPath(self.archive, path) for path in self.archive.below(self.path, f"*{pattern}"))
        return (path for path in found if fnmatchcase(path.name, pattern))

    def stat(self) -> Status:
        """Return the size and the time of a file.

        Raises:
            FileNotFoundError: There is no file at this path.
        """
        member = self.archive.member(self.path)
        if member is None:
            raise FileNotFoundError(f"{self} does not exist")
        return Status(member.size, self.archive.file.stat().st_mtime)

    def open(self, mode: str = "rb", encoding: str | None = None, **_: Any) -> IO[Any]:
        """Open a file for reading.

        Raises:
            FileNotFoundError: There is no file at this path.
            OSError: The file is damaged.
        """
        member = self.archive.member(self.path)
        if member is None:
            raise FileNotFoundError(f"{self} does not exist")
        file = self.archive.open(member)
        return file if "b" in mode else io.TextIOWrapper(file, encoding=encoding or "utf-8")

    def read_bytes(self) -> bytes:
        """Return the bytes of a file. Raises the errors of `open`."""
        member = self.archive.member(self.path)
        if member is None:
            raise FileNotFoundError(f"{self} does not exist")
        return self.archive.read(member)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the text of a file. Raises the errors of `open`."""
        return self.read_bytes().decode(encoding)
