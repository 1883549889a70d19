"""Injects one fault into this process. It sees the writes of Python, and those of libraries by what surrounds them."""

import errno
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FAULTS = ("kill", "power", "full", "denied", "flip", "slow")
KILLS = ("kill", "power")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
EVENTS = frozenset(
    ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod")
)
MAKES = frozenset(("open", "os.mkdir", "os.link", "os.symlink"))  # what needs space
# Where the arguments of an event hold the descriptor of a folder to which the path is relative.
FOLDER_AT = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.chmod": 2, "os.rename": 2, "os.link": 2, "os.symlink": 2}
DELAY = 0.0005  # s, at each write of a slow disk
STALL = 0.05  # s, at one write of it


def install(root: Path, fault: str, at: int, seen: Callable[[str], object]) -> None:
    """Watch all writes below a folder; let one fault happen at one of them.

    The process must lead a process group of its own, because a kill ends the whole group.

    Args:
        root: The folder.
        fault: One of `FAULTS`, or empty for none.
        at: Number of the point, from 0.
        seen: Called with the description of each point.
    """
    state = {"points": 0, "busy": False, "full": False}
    kept = set(map(_version, _files(root))) if fault == "power" else set()
    below = f"{root}{os.sep}"

    def point(event: str, path: str) -> None:
        number = int(state["points"])
        state["points"] += 1
        seen(f"{event} {path.removeprefix(below)}")
        if fault == "slow":
            time.sleep(STALL if number == at else DELAY)
        if fault == "full" and number >= at:
            if not state["full"]:
                state["full"] = True
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            if event in MAKES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        if number != at:
            return
        if fault == "power":
            lose(root, kept)
        if fault in KILLS:
            os.killpg(0, signal.SIGKILL)  # this process and its workers
        if fault == "denied":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if fault == "flip" and event == "os.rename":
            flip(Path(path))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if state["busy"] or not (event in EVENTS or (event == "open" and _writes(arguments))):
            return
        path = _path(arguments[0], _folder_of(event, arguments))
        if path is None or not path.startswith(below):
            return
        state["busy"] = True
        try:
            point(event, path)
        finally:
            state["busy"] = False

    real = os.fsync

    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.startswith(below) and not state["busy"]:
            state["busy"] = True
            try:
                point("fsync", path)
            finally:
                state["busy"] = False
        real(descriptor)
        if fault == "power":
            kept.add(_version(Path(path)))

    real_sync = os.sync

    def sync() -> None:
        state["busy"] = True
        try:
            point("sync", str(root))
        finally:
            state["busy"] = False
        real_sync()
        if fault == "power":
            kept.update(map(_version, _files(root)))

    os.fsync = fsync  # type: ignore[assignment]  # its parameter has a name of its own in typeshed
    os.sync = sync
    sys.addaudithook(hook)


def flip(path: Path) -> None:
    """Flip one bit in the middle of a file, or of the largest file in a folder."""
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        path = max(files, key=lambda file: file.stat().st_size)
    size = path.stat().st_size
    if not size:
        return
    with path.open("r+b") as stream:
        stream.seek(size // 2)
        byte = stream.read(1)
        stream.seek(size // 2)
        stream.write(bytes([byte[0] ^ 8]))


def lose(root: Path, kept: set[tuple[int, int, int]]) -> None:
    """Do to the files below a folder what a power cut may do: content that was never synced is lost.

    Every second file is left empty, the others with half of their bytes.
    """
    lost = [file for file in _files(root) if _version(file) not in kept]
    for number, file in enumerate(lost):
        os.truncate(file, file.stat().st_size // 2 if number % 2 else 0)


def _files(root: Path) -> list[Path]:
    return sorted(file for file in root.rglob("*") if file.is_file() and not file.is_symlink())


def _version(file: Path) -> tuple[int, int, int]:
    """Return what tells whether the content of a file has changed, whatever its name is."""
    about = file.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return bool(isinstance(flags, int) and flags & WRITES) or bool(isinstance(mode, str) and set(mode) & set("wax+"))


def _folder_of(event: str, arguments: tuple[Any, ...]) -> str:
    """Return the folder to which the path of an event is relative."""
    number = FOLDER_AT.get(event)
    descriptor = arguments[number] if number is not None and number < len(arguments) else -1
    return os.readlink(f"/proc/self/fd/{descriptor}") if isinstance(descriptor, int) and descriptor >= 0 else ""


def _path(argument: Any, folder: str = "") -> str | None:
    if isinstance(argument, int):
        try:
            return os.readlink(f"/proc/self/fd/{argument}")
        except OSError:
            return None
    try:
        return os.path.abspath(os.path.join(folder, os.fsdecode(argument)))
    except TypeError:
        return None
