"""Outputs that appear complete or not at all.

A file or folder is made under a hidden name beside its destination, and renamed when it is finished. A reader never
sees a partial output, and a failure leaves nothing behind. Work that can be resumed is in `ecgkit.unfinished`.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ecgkit.errors import OutputError

MARKER = ".ecgkit"  # file in every folder that ecgkit makes; it holds the kind of the output


def check_output(path: Path, kind: str, *, overwrite: bool = False, option: str = "--out") -> None:
    """Check early whether an output may be written. Only an earlier output of the same kind is ever replaced.

    Args:
        path: Path of the output.
        kind: Kind of the output, such as ``store`` or ``run``; see `atomic_folder`.
        overwrite: Whether an earlier output may be replaced.
        option: Option or argument of the command that names the output, for the error; empty if none does.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    if not path.exists():
        return
    other = f"Give another {option}" if option else "Move it away"
    if not overwrite:
        raise OutputError(f"{path} already exists", remedy=f"{other}, or replace it with --overwrite.")
    found = kind_of(path)
    if found != kind:
        what = f"ecgkit made it as a {found}" if found else "ecgkit did not make it"
        raise OutputError(f"{path} is not a {kind} and is not replaced: {what}", remedy=f"{other}.")


@contextlib.contextmanager
def atomic_folder(path: Path, kind: str) -> Iterator[Path]:
    """Yield a folder that replaces `path` when the block ends without an error.

    Args:
        path: Where the output is to appear.
        kind: Kind of the output. It is written into the `MARKER` file, so that an output of another kind never
            replaces this one.
    """
    path = path.absolute()
    existed = path.exists()
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    staging.chmod(0o777 & ~_umask())
    try:
        yield staging
        publish(staging, path, kind, replace=existed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, path: Path, kind: str, *, replace: bool, aside: Path | None = None) -> None:
    """Move a finished folder to `path` by one rename.

    Args:
        staging: The finished folder, in the same file system as `path`.
        path: Where the output is to appear.
        kind: Kind of the output; see `atomic_folder`.
        replace: Whether an earlier output may be replaced.
        aside: Where to move an earlier output until it is replaced; None for a new hidden folder beside `path`.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    (staging / MARKER).write_text(f"{kind}\n", encoding="utf-8")
    if not path.exists():
        os.replace(staging, path)
        return
    if not replace:
        raise OutputError(f"{path} was made by another process in the meantime", remedy="Name another output.")
    if aside is None:
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    os.replace(path, aside)
    os.replace(staging, path)
    shutil.rmtree(aside)


def kind_of(path: Path) -> str:
    """Return the kind of output a folder is; empty if ecgkit did not make it."""
    marker = path / MARKER
    return marker.read_text(encoding="utf-8").strip() if marker.is_file() else ""


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path with the same suffix, which is renamed to `path` when the block ends without an error."""
    path = path.absolute()
    if path.is_dir():
        raise OutputError(f"{path} is a folder", remedy="Name a file to write.")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield staging
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse a file name with another suffix, since it could be somebody's data.

    Raises:
        OutputError: `path` ends with none of `suffixes`.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path} must end in {' or '.join(suffixes)}")


def sync(path: Path) -> None:
    """Wait until a file, or the file list of a folder, is on disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot sync folders
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until a folder and everything in it is on disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn a file-system error into an error that names the path that the user gave, not a hidden one."""
    try:
        yield
    except OSError as error:
        remedy = "Give a path in a folder that you may write to."
        raise OutputError(f"{path} cannot be written ({error.strerror})", remedy=remedy) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
