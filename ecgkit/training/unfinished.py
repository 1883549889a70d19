"""A run that is not finished: the folder ``RUN.partial``, which becomes ``RUN`` when training is complete.

RUN.partial/resume.yaml      what ``--resume`` needs besides config.yaml: store, options, and what they stand for
RUN.partial/checkpoints/     see `ecgkit.training.checkpoints`
RUN.partial/best.safetensors the weights of the lowest validation loss so far
RUN.partial/lock             held by the process that trains

A run folder thus exists if and only if its training is complete, and an unfinished one can be told by its name and by
its marker. Nothing is left behind of a training that ended without a checkpoint.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ecgkit.atomic import MARKER, check_output, kind_of, publish
from ecgkit.config import read_yaml, write_yaml
from ecgkit.errors import OutputError, RunError

SUFFIX = ".partial"
KIND = "unfinished run"
RESUME = "resume.yaml"
CHECKPOINTS = "checkpoints"
DIVERGED = "diverged"  # the start of the files that tell where a loss was no number
BEST = "best.safetensors"
_LOCK = "lock"


def unfinished(out: Path) -> Path:
    """Return the folder of a run while it is not finished."""
    return out.with_name(out.name + SUFFIX)


def finished(path: Path) -> Path:
    """Return the folder that a run will have when it is finished, from that or from the unfinished one."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def is_unfinished(path: Path) -> bool:
    """Return whether a folder is a run that is not finished."""
    return kind_of(path) == KIND


def resume_command(out: Path) -> str:
    """Return the command that goes on with a run."""
    return f"ecgkit pretrain --resume {out}"


def read_resume(path: Path) -> dict[str, Any]:
    """Return what an unfinished run was started with.

    Args:
        path: The run, by its name when finished or unfinished.

    Raises:
        RunError: There is none, or it is finished.
    """
    out = finished(path)
    folder = unfinished(out)
    if not is_unfinished(folder):
        if kind_of(out) == "run":
            raise RunError(f"{out} is finished", "an unfinished run")
        raise RunError(f"{out} has no unfinished run", f"a folder {folder} that 'ecgkit pretrain' left")
    return read_yaml(folder / RESUME)


@contextmanager
def run_in_progress(out: Path, settings: dict[str, Any], *, overwrite: bool, resume: bool) -> Iterator[Path]:
    """Yield the folder of an unfinished run; it becomes `out` when the block ends without an error.

    Args:
        out: The run.
        settings: What it is started with; ``identity`` must be the same to go on.
        overwrite: Replace an earlier run, finished or not.
        resume: Go on in an unfinished run if there is one.

    Raises:
        OutputError: There is a run, an unfinished one, or something else; or another process trains it.
    """
    check_free(out, overwrite=overwrite, resume=resume)
    folder = unfinished(out.absolute())
    if resume and is_unfinished(folder):
        _check_identity(folder, settings)
    existed = out.exists()
    with _locked(folder, out, afresh=not resume):
        (folder / MARKER).write_text(f"{KIND}\n", encoding="utf-8")
        write_yaml(folder / RESUME, settings)
        try:
            yield folder
        except BaseException:
            if not (folder / CHECKPOINTS).exists() and not list(folder.glob(f"{DIVERGED}*")):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
        for name in (RESUME, _LOCK):
            (folder / name).unlink(missing_ok=True)
        publish(folder, out.absolute(), "run", replace=existed)


def check_free(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuse early where a run would not find its place; see `run_in_progress`.

    Raises:
        OutputError: There is a run, an unfinished one, or something else.
    """
    check_output(out, "run", overwrite=overwrite)
    folder = unfinished(out.absolute())
    if folder.exists() and not is_unfinished(folder):
        raise OutputError(f"{folder} is in the way", "a new path", "Name another --out.")
    if folder.exists() and not resume and not overwrite:
        raise OutputError(
            f"{folder} is an unfinished run", "a new path",
            f"Go on with '{resume_command(out)}', or begin anew with --overwrite.",
        )  # fmt: skip


def _check_identity(folder: Path, settings: dict[str, Any]) -> None:
    if read_yaml(folder / RESUME).get("identity") != settings["identity"]:
        raise OutputError(
            f"{folder} is an unfinished run of other settings or data", "the same method, settings and store",
            "Name another --out, or begin anew with --overwrite.",
        )  # fmt: skip


@contextmanager
def _locked(folder: Path, out: Path, *, afresh: bool) -> Iterator[None]:
    """Hold the folder for this process; `afresh` empties it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out} cannot be written ({error.strerror})", "a folder that can be written") from None
    with lock:
        _take(lock, folder)
        for path in folder.iterdir() if afresh else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        yield


def _take(lock: IO[str], folder: Path) -> None:
    # A record lock: it goes with the process that took it, and its loaders do not inherit it.
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"{folder} is being trained by another process", "a run that rests") from None
    except OSError:  # a file system without locks
        os.utime(folder)
