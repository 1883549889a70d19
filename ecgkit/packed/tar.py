"""Members of a ``.tar``: listed in one pass over its headers. A compressed one is first decompressed to one file.

Format: POSIX.1-2001 pax and GNU tar, as `tarfile` reads them. Links, devices and sparse files are refused.
"""

import bz2
import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from ecgkit.errors import DatasetError
from ecgkit.packed.index import BOMB_BYTES, BOMB_RATIO, MEMBERS_A_REPORT, Member, Refused
from ecgkit.progress import Progress, silent

_OPENERS: dict[str, Callable[[IO[bytes], Any], Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_STEP = 2**22
_BLOCK = tarfile.BLOCKSIZE
_MB = 10**6


def is_compressed(file: Path) -> bool:
    """Return whether a ``.tar`` is compressed, judged by its name."""
    return file.suffix.lower() in _OPENERS


def decompress(file: Path, out: Path, progress: Progress = silent) -> None:
    """Decompress a ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz`` to one plain ``.tar``, in pieces.

    Args:
        file: The archive.
        out: The file to write.
        progress: Called with the stage, and the MB of the archive that are done and that there are.

    Raises:
        DatasetError: The file is damaged or cut short, expands to far more than its size, or the disk is full.
    """
    length = file.stat().st_size
    most = max(BOMB_BYTES, BOMB_RATIO * length)
    try:
        with file.open("rb") as raw, _OPENERS[file.suffix.lower()](raw, "rb") as packed, out.open("wb") as plain:
            size = 0
            while piece := packed.read(_STEP):
                progress("MB decompressed", raw.tell() // _MB, length // _MB)
                size += len(piece)
                if size > most:
                    raise DatasetError(
                        f"{file} expands to more than {BOMB_RATIO} times its size",
                        remedy="Look at what it holds, and unpack it yourself.",
                    )
                if shutil.disk_usage(out.parent).free < _STEP:
                    raise _no_room(out.parent)
                plain.write(piece)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DatasetError(f"{file} cannot be decompressed ({error})", "a complete archive") from None
    except OSError as error:
        raise DatasetError(f"{file} cannot be decompressed into {out.parent} ({error})") from None


def _no_room(folder: Path) -> DatasetError:
    return DatasetError(
        f"{folder} has no room for the decompressed archive",
        remedy="Set TMPDIR to a folder with more room, or unpack the archive yourself.",
    )


def members(file: Path, progress: Progress = silent) -> Iterator[Member | Refused]:
    """Yield the members of a plain ``.tar``.

    Args:
        file: The archive.
        progress: Called with the stage, and the MB of the archive that are looked through and that there are.

    Raises:
        DatasetError: The file is no ``.tar``.
    """
    length = file.stat().st_size
    try:
        with tarfile.open(file, "r:") as archive:
            for number, info in enumerate(_infos(archive)):
                if not number % MEMBERS_A_REPORT:
                    progress("MB listed", archive.offset // _MB, length // _MB)
                if not info.isdir():
                    yield _member(info, length)
            if _is_broken_off(file, archive.offset):
                yield Refused(
                    "(rest of the archive)", f"the archive is damaged or cut short at byte {archive.offset:,}"
                )
    except (OSError, tarfile.TarError, ValueError, OverflowError) as error:
        raise DatasetError(f"{file} cannot be read as a .tar archive ({error})", "a complete archive") from None


def _infos(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members as far as they can be found."""
    while True:
        try:
            info = archive.next()
        except tarfile.ReadError:
            if not archive.offset:
                raise
            return
        if info is None:
            return
        archive.members = []  # type: ignore[attr-defined]  # tarfile would keep every member in memory
        yield info


def _member(info: tarfile.TarInfo, length: int) -> Member | Refused:
    if info.issym() or info.islnk():
        return Refused(info.name, "it is a link")
    if not info.isreg() or info.issparse():
        return Refused(info.name, "it is no regular file")
    if info.offset_data + info.size > length:
        return Refused(info.name, "it is cut short in the archive")
    return Member(info.name, info.offset_data, info.size, info.size)


def _is_broken_off(file: Path, at: int) -> bool:
    """Return whether something other than the end mark follows the last member that could be read."""
    with file.open("rb") as raw:
        raw.seek(at)
        block = raw.read(_BLOCK)
    return len(block) < _BLOCK or bool(block.strip(b"\0"))
