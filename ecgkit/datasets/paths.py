"""Open a dataset's folder, local or remote (fsspec), and refuse paths that lead out of it."""

import os
import re
import stat
from pathlib import Path
from typing import Any, cast

from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError, RecordError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def open_folder(text: str | os.PathLike[str]) -> Path:
    """Return the folder that a user named: a path, or a URL such as ``s3://bucket/folder``.

    A URL needs the package universal-pathlib and the package for its protocol. The result then has the interface of
    `Path`.

    Raises:
        DatasetError: A package that the URL needs is not installed, or its protocol is unknown.
    """
    name = os.fspath(text)
    if "://" not in name:
        return Path(name)
    if name.startswith("file://"):
        return Path(name.removeprefix("file://"))
    try:
        from upath import UPath

        folder: Any = UPath(name)
        folder.fs  # noqa: B018  the package of the protocol is loaded on first use
    except ImportError as error:
        raise DatasetError(
            f"{name} needs a package that is not installed ({error})", remedy=install_extra("remote")
        ) from None
    except ValueError as error:
        raise DatasetError(
            f"{name} cannot be opened ({error})", "a path, or a URL such as s3://bucket/folder"
        ) from None
    return cast(Path, folder)


def is_local(root: Path) -> bool:
    """Return whether the folder lies in this machine's file system, in which links may lead out of the folder."""
    return isinstance(root, Path)


def read_bytes(root: Path, path: str) -> bytes:
    """Return the content of a file, given its path relative to the dataset's folder.

    For a local file this is several times as fast as joining `Path` objects; ingest calls it for every file.
    """
    if not is_local(root):
        return (root / path).read_bytes()
    # Without waiting: a named pipe would wait for a writer for ever.
    descriptor = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise RecordError(f"{path} is not a regular file")
        whole = os.read(descriptor, found.st_size)
        while len(whole) < found.st_size and (more := os.read(descriptor, found.st_size - len(whole))):
            whole += more  # one call reads at most 2 GB
        return whole
    finally:
        os.close(descriptor)


def read_range(root: Path, path: str, start: int, size: int) -> bytes:
    """Return up to `size` bytes of a file from byte `start`, given its path relative to the dataset's folder."""
    with open_binary(root, path) as file:
        file.seek(start)
        return cast(bytes, file.read(size))


def open_binary(root: Path, path: str) -> Any:
    """Open a file for reading, given its path relative to the dataset's folder.

    Raises:
        RecordError: It is not a regular file.
    """
    if not is_local(root):
        return (root / path).open("rb")
    if not stat.S_ISREG(os.stat(f"{root}/{path}").st_mode):
        raise RecordError(f"{path} is not a regular file")
    return open(f"{root}/{path}", "rb")


def size_and_time(root: Path, path: str) -> tuple[int, float]:
    """Return the size of a file in bytes and the time of its last change, given its path below the dataset's folder.

    Raises:
        RecordError: It is not a regular file.
    """
    if not is_local(root):
        remote = (root / path).stat()
        return remote.st_size, getattr(remote, "st_mtime", 0.0)
    found = os.stat(f"{root}/{path}")
    if not stat.S_ISREG(found.st_mode):
        raise RecordError(f"{path} is not a regular file")
    return found.st_size, found.st_mtime


def check_inside(root: Path, path: str) -> None:
    """Refuse a path that leads out of the dataset's folder: through ``..``, as an absolute path, or through a link.

    Args:
        root: The dataset's folder.
        path: The path as the dataset writes it, relative to `root`.

    Raises:
        RecordError: The path leads out of the folder.
    """
    foreign = "\\" in path or "\0" in path or _URL.match(path)  # a Windows path or a URL
    parts = path.split("/")
    if foreign or not parts[0] or ".." in parts:
        raise RecordError(f"{path[:80]!r} leads out of the dataset's folder")
    if is_local(root) and _has_link(os.fspath(root), parts) and not _ends_inside(root, path):
        raise RecordError(f"{path[:80]!r} is a link that leads out of the dataset's folder")


def beside(path: str, name: str) -> str:
    """Return the path, relative to the dataset's folder, of a file that a header at `path` names."""
    folder = path.rpartition("/")[0]
    return f"{folder}/{name}" if folder and not name.startswith("/") else name


def _has_link(here: str, parts: list[str]) -> bool:
    """Return whether a component below the root is a link. `resolve` would also check all components above it."""
    for part in parts:
        here = f"{here}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(here).st_mode):
                return True
        except OSError:  # reported when the file is opened
            return False
    return False


def _ends_inside(root: Path, path: str) -> bool:
    """Return whether a path stays below the root after all links are followed; circular links do not."""
    try:
        return (root / path).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False
