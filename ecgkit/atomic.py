"""Outputs that appear complete or not at all.

A file or folder is made under a hidden name beside its destination, and renamed when it is finished and on disk. A
reader never sees a partial output, and a failure leaves nothing behind. Work that can be resumed is in
`ecgkit.unfinished`.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ecgkit.addresses import check_local_output
from ecgkit.errors import DiskFullError, OutputError, SpaceError

MARKER, NEW_MARKER = ".ecgkit", ".ecgkit.new"  # file in every folder that ecgkit makes; it holds the kind of the output
OLD = ".old"  # suffix of an output that is being replaced
MANY = 200  # files
AGAIN = "Free some space and run the same command again."
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a full disk, and of a quota or a limit that is reached
# What libraries say when a file could not be written completely; numpy and safetensors raise no error number.
_FULL_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", " requested and ")


def check_output(path: Path, kind: str, *, overwrite: bool = False, option: str = "--out") -> None:
    """Check early whether an output may be written. Only an earlier output of the same kind is ever replaced.

    An earlier output that a process had moved aside when it was killed is put back first.

    Args:
        path: Path of the output.
        kind: Kind of the output, such as ``store`` or ``run``; see `atomic_folder`.
        overwrite: Whether an earlier output may be replaced.
        option: Option or argument of the command that names the output, for the error; empty if none does.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    check_local_output(path)
    _put_back(path)
    if not path.exists():
        return
    other = f"Give another {option}" if option else "Move it away"
    if not overwrite:
        raise OutputError(f"{path} already exists", remedy=f"{other}, or replace it with --overwrite.")
    found = kind_of(path)
    if found != kind:
        what = f"ecgkit made it as a {found}" if found else "ecgkit did not make it"
        raise OutputError(f"{path} is not a {kind} and is not replaced: {what}", remedy=f"{other}.")


def check_file(path: Path, *, overwrite: bool = False, option: str = "--out") -> None:
    """Check early whether a file may be written.

    Args:
        path: The file.
        overwrite: Whether an earlier file may be replaced.
        option: Option of the command that names the file, for the error.

    Raises:
        OutputError: `path` is a folder or a remote address, or exists and may not be replaced.
    """
    check_local_output(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder", remedy="Name a file to write.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} already exists", remedy=f"Give another {option}, or replace it with --overwrite.")


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
        with telling_of_a_full_disk(path):
            yield staging
            mark(staging, kind)
            sync_tree(staging)
            publish(staging, path, replace=existed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(
    staging: Path,
    path: Path,
    *,
    replace: bool,
    aside: Path | None = None,
    rescue: Callable[[Path], object] = lambda _: None,
) -> None:
    """Move a finished and marked folder to `path` by one rename.

    Args:
        staging: The finished folder, in the same file system as `path`.
        path: Where the output is to appear.
        replace: Whether an earlier output may be replaced.
        aside: Where to move an earlier output until it is replaced; None for a new hidden folder beside `path`.
        rescue: Called with the earlier output before it is removed.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    if not path.exists():
        os.replace(staging, path)
        sync(path.parent)
        return
    if not replace:
        raise OutputError(f"{path} was made by another process in the meantime", remedy="Name another output.")
    if aside is None:
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=OLD, dir=path.parent))
    os.replace(path, aside)
    os.replace(staging, path)
    sync(path.parent)
    rescue(aside)
    shutil.rmtree(aside)


def _put_back(path: Path) -> None:
    """Put back an output that `publish` had moved aside in a process that was killed before it moved the new one."""
    if path.exists() or not path.parent.is_dir():
        return
    begins = f".{path.name}."
    aside = [old for old in path.parent.iterdir() if old.name.startswith(begins) and old.name.endswith(OLD)]
    if whole := [old for old in aside if kind_of(old)]:
        os.replace(max(whole, key=lambda old: old.stat().st_ctime_ns), path)


def mark(folder: Path, kind: str) -> None:
    """Write the `MARKER` of a folder that ecgkit makes. A reader sees the earlier marker or this one."""
    staging = folder / NEW_MARKER
    staging.write_text(f"{kind}\n", encoding="utf-8")
    sync(staging)
    os.replace(staging, folder / MARKER)


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
        with telling_of_a_full_disk(path):
            yield staging
            sync(staging)
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
    paths = [*folder.rglob("*"), folder]
    if len(paths) > MANY:
        os.sync()  # one wait for everything that is not on disk yet, rather than one for each file
        return
    for path in paths:
        sync(path)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn a file-system error into an error that names the path that the user gave, not a hidden one.

    Raises:
        OutputError: The path cannot be written, or is a remote address.
    """
    check_local_output(path)
    try:
        yield
    except OSError as error:
        remedy = "Give a path in a folder that you may write to."
        raise OutputError(f"{path} cannot be written ({error.strerror})", remedy=remedy) from None


@contextlib.contextmanager
def telling_of_a_full_disk(
    path: Path, remedy: str = "Free some space and run the same command again."
) -> Iterator[None]:
    """Turn the many errors of a full disk into one that names the output and the free space.

    Args:
        path: The output.
        remedy: What to do.
    """
    try:
        yield
    except Exception as error:  # each library raises its own errors
        if not is_full(error) or isinstance(error, SpaceError):
            raise
        full = f"the disk is full and {path} is not finished ({_free(path)})"
        raise DiskFullError(full, remedy=remedy) from None


def check_space(path: Path, needed: int, what: str) -> None:
    """Check that an output fits on the disk before any of it is written.

    Args:
        path: Where the output is to appear.
        needed: Its size in bytes.
        what: What is written, for the error.

    Raises:
        SpaceError: The disk has less free space.
    """
    free = shutil.disk_usage(_existing(path)).free
    if needed > free:
        raise SpaceError(
            f"{what} needs {_size(needed)} in {path.parent}, where {_size(free)} are free",
            remedy=AGAIN,
        )


def is_full(error: BaseException) -> bool:
    """Return whether an error says that a disk is full, or that a quota or the limit of a file's size is reached."""
    if isinstance(error, DiskFullError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in FULL
    return any(words in str(error) for words in _FULL_WORDS)


def _free(path: Path) -> str:
    folder = _existing(path)
    return f"{_size(shutil.disk_usage(folder).free)} free in {folder}"


def _existing(path: Path) -> Path:
    """Return the nearest folder above a path that exists."""
    return next(folder for folder in path.absolute().parents if folder.is_dir())


def _size(count: int) -> str:
    """Return a number of bytes in words, such as ``1.5 GB``."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.3g} {unit}"


def _umask() -> int:
    mask = os.umask(0o077)  # only setting it tells it; what another thread makes meanwhile is its owner's alone
    os.umask(mask)
    return mask
