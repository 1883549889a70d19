"""An archive that is open for reading. Any number of processes may read it at once."""

import atexit
import io
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO

from ecgkit.packed import tar, zip
from ecgkit.packed.index import Member, Refused, write_index
from ecgkit.progress import Progress, silent

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
INDEX, PLAIN = "index.sqlite", "plain.tar"
IN_MEMORY = 64 * 2**20  # largest member that is unpacked in memory when it is opened as a file
_COLUMNS = "path, start, packed, size, method, crc"


def is_packed(name: str) -> bool:
    """Return whether a file is an archive, judged by its name."""
    return name.lower().endswith(SUFFIXES)


class Archive:
    """The members of a ``.zip`` or ``.tar`` file.

    Index and decompressed ``.tar`` lie in a temporary folder, which is removed when the process that made it ends.

    Args:
        file: The archive.
        folder: Temporary folder of another process, to be shared; it is made anew if this machine does not have it.
        progress: Called while the archive is decompressed and listed.

    Raises:
        DatasetError: The archive is damaged, or there is no room for its index.
    """

    def __init__(self, file: Path, folder: Path | None = None, progress: Progress = silent) -> None:
        self.file = file
        shared = folder is not None and (folder / INDEX).is_file()
        self.folder = folder if folder is not None and shared else _indexed(file, progress)

    def close(self) -> None:
        """Close the files and remove the temporary folder; the archive cannot be read any more."""
        if "_base" in self.__dict__:
            self._base.close()
        if "_data" in self.__dict__:
            os.close(self._data)
        _remove(self.folder)

    def __reduce__(self) -> tuple[object, ...]:
        return open_archive, (self.file, self.folder)

    @property
    def refused(self) -> list[Refused]:
        """The members that may not be read, in order of their names."""
        rows = self._base.execute("SELECT DISTINCT path, reason FROM refused ORDER BY path, reason")
        return [Refused(*row) for row in rows]

    def member(self, path: str) -> Member | None:
        """Return the member at a path; None if there is none."""
        row = self._base.execute(f"SELECT {_COLUMNS} FROM members WHERE path = ?", (path,)).fetchone()
        return Member(*row) if row else None

    def is_folder(self, path: str) -> bool:
        """Return whether a path is a folder; an empty path is the archive itself."""
        return not path or bool(self._base.execute("SELECT 1 FROM folders WHERE path = ?", (path,)).fetchone())

    def children(self, folder: str) -> list[str]:
        """Return the paths of the files and folders that lie directly in a folder."""
        query = "SELECT path FROM members WHERE parent = ?1 UNION SELECT path FROM folders WHERE parent = ?1 ORDER BY 1"
        return [path for (path,) in self._base.execute(query, (folder,))]

    def below(self, folder: str, pattern: str) -> Iterator[str]:
        """Yield the paths at any depth below a folder that match a pattern, in order.

        Args:
            folder: The folder.
            pattern: As for the GLOB of SQLite, in which a star also stands for slashes.
        """
        first, last = (f"{folder}/", f"{folder}0") if folder else ("", "\U0010ffff")  # "0" follows "/"
        query = "SELECT path FROM {} WHERE path >= ?1 AND path < ?2 AND path GLOB ?3"
        query = f"{query.format('members')} UNION {query.format('folders')} ORDER BY 1"
        rows = self._base.execute(query, (first, last, pattern))
        return (path for (path,) in rows)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member.

        Raises:
            OSError: The member is damaged.
        """
        if not self._is_zip:
            return self._slice(member.path, member.start, member.size)
        return b"".join(zip.chunks(self._data, member))

    def open(self, member: Member) -> IO[bytes]:
        """Open a member as a file. A large compressed one is unpacked to a temporary file.

        Raises:
            OSError: The member is damaged.
        """
        if not self._is_zip or member.method == zip.STORED:
            start = zip.data_start(self._data, member) if self._is_zip else member.start
            return io.BufferedReader(_Slice(self._data, start, member.size))
        if member.size <= IN_MEMORY:
            return io.BytesIO(self.read(member))
        file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
        file.writelines(zip.chunks(self._data, member))
        file.seek(0)
        return file

    def _slice(self, path: str, start: int, size: int) -> bytes:
        raw = os.pread(self._data, size, start)
        if len(raw) < size:
            raise OSError(f"{path} is cut short in the archive")
        return raw

    @property
    def _is_zip(self) -> bool:
        return self.file.suffix.lower() == ".zip"

    @cached_property
    def _base(self) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{self.folder / INDEX}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    @cached_property
    def _data(self) -> int:
        """Descriptor of the file that holds the members; it stays open as long as the process."""
        plain = self.folder / PLAIN
        return os.open(plain if plain.is_file() else self.file, os.O_RDONLY)


class _Slice(io.RawIOBase):
    """A part of an open file, as a file."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor, self._start, self._size, self._at = descriptor, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        raw = os.pread(self._descriptor, min(len(view), self._size - self._at), self._start + self._at)
        view[: len(raw)] = raw
        self._at += len(raw)
        return len(raw)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = min(max(base + offset, 0), self._size)
        return self._at


_opened: dict[tuple[Path, Path | None], Archive] = {}


def open_archive(file: Path, folder: Path | None = None, progress: Progress = silent) -> Archive:
    """Return an archive; within one process, the same for the same file. The arguments are those of `Archive`."""
    if (file, folder) not in _opened:
        _opened[file, folder] = Archive(file, folder, progress)
    return _opened[file, folder]


def _indexed(file: Path, progress: Progress) -> Path:
    """Make a temporary folder with the index of an archive, and the plain ``.tar`` of a compressed one."""
    folder = Path(tempfile.mkdtemp(prefix="ecgkit-archive-"))
    _left.add(folder)
    try:
        if file.suffix.lower() == ".zip":
            write_index(folder / INDEX, zip.members(file, progress))
        elif tar.is_compressed(file):
            tar.decompress(file, folder / PLAIN, progress)
            write_index(folder / INDEX, tar.members(folder / PLAIN, progress))
        else:
            write_index(folder / INDEX, tar.members(file, progress))
    except BaseException:  # Ctrl-C too: it may be many GB
        _remove(folder)
        raise
    return folder


_left: set[Path] = set()  # temporary folders that this process has made


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _left.discard(folder)


@atexit.register
def _remove_all() -> None:
    for folder in tuple(_left):
        _remove(folder)
