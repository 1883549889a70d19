"""A run that is not finished: the folder ``RUN.partial``, which becomes ``RUN`` when training is complete.

RUN.partial/resume.yaml      what ``--resume`` needs besides config.yaml: store, options, processes
RUN.partial/checkpoints/     see `ecgkit.training.checkpoints`
RUN.partial/best.safetensors the weights of the lowest validation loss so far
RUN.partial/plan.json, lock  see `ecgkit.unfinished`

So a run folder exists if and only if its training is complete. An unfinished one is known by its name and by its
marker. A training that ended without a checkpoint leaves nothing behind.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecgkit.atomic import kind_of
from ecgkit.config import read_yaml, write_yaml
from ecgkit.errors import OutputError, RunError
from ecgkit.unfinished import PLAN, SUFFIX, Unfinished, write_plan

KIND = "unfinished run"
RESUME = "resume.yaml"
CHECKPOINTS = "checkpoints"
DIVERGED = "diverged"  # the start of the files that tell where a loss was no number
BEST = "best.safetensors"


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
    """Return the settings with which an unfinished run was started.

    Args:
        path: The run, by its name when finished or unfinished.

    Raises:
        RunError: There is no unfinished run.
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
        settings: Settings that it is started with; ``identity`` must be the same to go on.
        overwrite: Replace an earlier run, finished or not.
        resume: Go on with an unfinished run if there is one.

    Raises:
        OutputError: There is a run, an unfinished one, or something else; or another process trains it.
    """
    check_free(out, overwrite=overwrite, resume=resume)
    work = _work(out, overwrite=overwrite)
    with work.open():
        if not resume:
            work.clear()
        _take_over(work.folder)
        _check_parents(work.folder, settings)
        work.begin(str(settings["identity"]))
        write_yaml(work.folder / RESUME, settings)
        yield work.folder
        shutil.rmtree(work.folder / CHECKPOINTS, ignore_errors=True)
        (work.folder / RESUME).unlink(missing_ok=True)
        work.finish()


def check_free(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuse early where a run would not find its place; see `run_in_progress`.

    Raises:
        OutputError: There is a run, an unfinished one, or something else.
    """
    _work(out, overwrite=overwrite).check_free()
    folder = unfinished(out.absolute())
    if folder.exists() and not resume and not overwrite:
        raise OutputError(
            f"{folder} is an unfinished run",
            remedy=f"Go on with '{resume_command(out)}', or begin anew with --overwrite.",
        )


def _work(out: Path, *, overwrite: bool) -> Unfinished:
    return Unfinished(out, "run", overwrite=overwrite, in_place=True, keep=_worth_keeping)


def _take_over(folder: Path) -> None:
    """Write the plan of an unfinished run of earlier releases, which kept its identity in resume.yaml alone."""
    if (folder / RESUME).is_file() and not (folder / PLAN).exists():
        write_plan(folder, str(read_yaml(folder / RESUME).get("identity", "")))


def _check_parents(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on where the weights of a run that this one is built on have changed."""
    before = read_yaml(folder / RESUME).get("built_on", []) if (folder / RESUME).is_file() else []
    for was, now in zip(before, settings.get("built_on", []), strict=False):
        if was["weights_sha256"] != now["weights_sha256"]:
            raise OutputError(
                f"{folder} was built on other weights than {now['run']} holds now",
                remedy="Put the former weights back, or begin anew with --overwrite.",
            )


def _worth_keeping(folder: Path) -> bool:
    return (folder / CHECKPOINTS).exists() or any(folder.glob(f"{DIVERGED}*"))
