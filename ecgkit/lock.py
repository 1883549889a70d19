"""A lock file that one process holds at a time; it names its holder.

The kernel releases the lock when the process ends, however it ends. Processes that the holder forks, such as loader
workers, do not inherit it.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ecgkit.atomic import naming
from ecgkit.errors import LockedError

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)  # errors of file systems without locks

_held: set[IO[str]] = set()


@contextmanager
def hold(path: Path, of: Path, doing: str = "made", *, wait: bool = False) -> Iterator[None]:
    """Hold a lock during the block. On a file system without locks the block simply runs.

    Args:
        path: The lock file; it is created if it does not exist. The holder of the lock may delete it.
        of: What the lock protects, for errors.
        doing: What the holder does, for errors: "`of` is being `doing` by another process".
        wait: Whether to wait for another process that holds the lock, instead of raising an error.

    Raises:
        LockedError: Another process holds the lock.
        OutputError: The lock file cannot be written.
    """
    while True:
        with naming(of):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        with file:
            if not _take(file, wait):
                holder = _holder(file)
                raise LockedError(
                    f"{of} is being {doing} by another process{f' ({holder})' if holder else ''}",
                    remedy="Wait until it has finished.",
                )
            if not _is(file, path):
                continue  # the last holder deleted the file, and the lock of a deleted file protects nothing
            _sign(file)
            _held.add(file)
            try:
                yield
            finally:
                _held.discard(file)
            return


def holder_of(path: Path) -> str:
    """Return the process that holds a lock, as it signed the lock file; empty if no process does."""
    with suppress(OSError), path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file) or "another process"
    return ""


def _take(file: IO[str], wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def _is(file: IO[str], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _sign(file: IO[str]) -> None:
    """Write the holder's process, machine and start time into the lock file."""
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    file.flush()


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read(200).strip()


def _close_after_fork() -> None:
    for file in _held:
        file.close()  # the parent's copy stays open and keeps the lock
    _held.clear()


os.register_at_fork(after_in_child=_close_after_fork)
