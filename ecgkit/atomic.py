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


def check_output(path: Path, *, overwrite: bool = False, is_ours: str = "") -> None:
    """Refuse early to write over something.

    Args:
        path: Where the output is to appear.
        overwrite: Whether an existing output may be replaced.
        is_ours: Name of a file that a folder must hold to be replaced, so that a mistyped path never deletes
            a folder of another kind.

    Raises:
        OutputError: `path` exists and may not be replaced.
    """
    if not path.exists():
        return
    if not overwrite:
        raise OutputError(f"{path} exists", "a new path", "Name another --out, or replace it with --overwrite.")
    if path.is_dir() and is_ours and any(path.iterdir()) and not (path / is_ours).exists():
        raise OutputError(f"{path} holds no {is_ours}", "an earlier output of this command", "Name another --out.")


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` when the block ends without an error."""
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    staging.chmod(0o777 & ~_umask())
    try:
        yield staging
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
            os.replace(path, old / path.name)
            os.replace(staging, path)
            shutil.rmtree(old)
        else:
            os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, of the same suffix, that is renamed to `path` when the block ends without an error."""
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield staging
        os.replace(staging, path)
    finally:
        staging.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
