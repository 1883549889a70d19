"""Outputs that appear whole or not at all.

A file or folder is made under a hidden name beside its place and renamed when it is finished, so a reader never
meets half of it and a failure leaves nothing behind.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ecgkit.errors import OutputError

MARKER = ".ecgkit"  # in every folder that ecgkit makes: what kind of output it is


def check_output(path: Path, kind: str, *, overwrite: bool = False) -> None:
    """Refuse early to write over something; only an earlier output of the same kind is ever replaced.

    Args:
        path: Folder in which the output is to appear.
        kind: What it will be, such as ``store`` or ``run``; see `atomic_folder`.
        overwrite: Whether an earlier output may be replaced.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    if not path.exists():
        return
    if not overwrite:
        raise OutputError(f"{path} exists", "a new path", "Name another --out, or replace it with --overwrite.")
    found = kind_of(path) or "no output of ecgkit"
    if found != kind:
        raise OutputError(f"{path} is {found}", f"an earlier {kind} to replace, or a new path", "Name another --out.")


@contextlib.contextmanager
def atomic_folder(path: Path, kind: str) -> Iterator[Path]:
    """Yield a folder that takes the place of `path` when the block ends without an error.

    Args:
        path: Where it is to appear.
        kind: What it is; written into its `MARKER` file, so that nothing of another kind is ever replaced by it.
    """
    path = path.absolute()
    existed = path.exists()
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    staging.chmod(0o777 & ~_umask())
    try:
        yield staging
        publish(staging, path, kind, replace=existed)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def publish(staging: Path, path: Path, kind: str, *, replace: bool) -> None:
    """Let a finished folder take the place of `path`.

    Args:
        staging: The folder, beside `path`.
        path: Where it is to appear.
        kind: What it is; see `atomic_folder`.
        replace: Whether something that is there may go.

    Raises:
        OutputError: Something is there that may not go.
    """
    (staging / MARKER).write_text(f"{kind}\n", encoding="utf-8")
    if not path.exists():
        os.replace(staging, path)
        return
    if not replace:
        raise OutputError(f"{path} was made by another process meanwhile", "a new path", "Name another --out.")
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    os.replace(path, old / path.name)
    os.replace(staging, path)
    shutil.rmtree(old)


def kind_of(path: Path) -> str:
    """Return the kind of output a folder is; empty if ecgkit did not make it."""
    marker = path / MARKER
    return marker.read_text(encoding="utf-8").strip() if marker.is_file() else ""


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, of the same suffix, that is renamed to `path` when the block ends without an error."""
    path = path.absolute()
    if path.is_dir():
        raise OutputError(f"{path} is a folder", "a file to write")
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield staging
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse to write a file under a name of another kind, which could be somebody's data.

    Raises:
        OutputError: `path` ends in none of `suffixes`.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(f"{path} is no name for this output", f"a name that ends in {' or '.join(suffixes)}")


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Tell of the path that was asked for, not of the hidden one beside it."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror})", "a folder that can be written") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
