"""Open a dataset's folder, local, remote (fsspec) or in an archive, and refuse paths that lead out of it."""

import os
import re
import stat
from pathlib import Path
from typing import Any, cast

from ecgkit.addresses import opening
from ecgkit.errors import DatasetError, RecordError
from ecgkit.packed.archive import is_packed, open_archive
from ecgkit.packed.path import PackedPath
from ecgkit.progress import Progress, silent

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")


def open_folder(text: str | os.PathLike[str], progress: Progress = silent) -> Path:
    """Return the folder that a user named: a path, a ``.zip`` or ``.tar``, or a URL such as ``s3://bucket/folder``.

    The folders of an archive stand behind its name: ``mimic.zip/files``. If it holds one folder alone, as most do, that
    folder is meant. A URL needs the package universal-pathlib and the package for its protocol. Behind a URL and in an
    archive, the result has the interface of `Path` and is none.

    Args:
        text: What the user named.
        progress: Called while an archive is decompressed and listed.

    Raises:
        DatasetError: A package that the URL needs is not installed, its protocol is unknown, or the archive is damaged.
    """
    name = os.fspath(text).removeprefix("file://")
    if "://" not in name:
        return _open_local(Path(name), progress)
    with opening(name, DatasetError, "a path, or a URL such as s3://bucket/folder"):
        from upath import UPath

        folder: Any = UPath(name, **_patience(name))
        folder.fs  # noqa: B018  the package of the protocol is loaded on first use
    return cast(Path, folder)


def _patience(name: str) -> dict[str, Any]:
    """Return the options of fsspec with which a busy HTTP server is asked again. S3's own client does so by itself."""
    if not name.startswith(("http://", "https://")):
        return {}
    from ecgkit.datasets.http import patient_client

    return {"get_client": patient_client}


def _open_local(path: Path, progress: Progress) -> Path:
    if path.is_dir() or not any(is_packed(part) for part in path.parts):
        return path
    for file in (path, *path.parents):
        if is_packed(file.name) and file.is_file():
            inner = path.relative_to(file).as_posix()
            root = PackedPath(open_archive(file.resolve(), progress=progress), "" if inner == "." else inner)
            inside = list(root.iterdir())
            return cast(Path, inside[0] if inner == "." and len(inside) == 1 and inside[0].is_dir() else root)
    return path


def refused_members(root: Path) -> list[tuple[str, str]]:
    """Return the members of the archive that a dataset lies in which may not be read, each with the reason."""
    return [(one.path, one.reason) for one in root.archive.refused] if isinstance(root, PackedPath) else []


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


def stamp_of(root: Path, path: str) -> tuple[int, int]:
    """Return time of the last change and size of a file or folder, by which a cache knows that it was changed."""
    found = os.stat(f"{root}/{path}") if is_local(root) else (root / path).stat()
    return int(found.st_mtime * 1e6), int(found.st_size)


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
