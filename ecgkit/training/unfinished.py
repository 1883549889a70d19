"""An unfinished run: the folder ``RUN.partial``, which is renamed to ``RUN`` when training is complete.

RUN.partial/resume.yaml      settings that ``--resume`` needs besides config.yaml: store, options, processes
RUN.partial/checkpoints/     see `ecgkit.training.checkpoints`
RUN.partial/best.safetensors the weights of the lowest validation loss so far
RUN.partial/plan.json, lock  see `ecgkit.unfinished`

So a run folder exists if and only if its training is complete. An unfinished run is recognised by its name and by its
marker. A training that ends before its first checkpoint leaves no folder.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ecgkit.atomic import atomic_file, kind_of
from ecgkit.config import read_yaml, write_yaml
from ecgkit.errors import OutputError, RunError
from ecgkit.interrupt import Left
from ecgkit.unfinished import PLAN, SUFFIX, Unfinished, write_plan

KIND = "unfinished run"
RESUME = "resume.yaml"
CHECKPOINTS = "checkpoints"
DIVERGED = "diverged"  # prefix of the files that list the records of a loss that is NaN or infinite
BEST = "best.safetensors"


def unfinished(out: Path) -> Path:
    """Return the folder of a run while it is unfinished."""
    return out.with_name(out.name + SUFFIX)


def finished(path: Path) -> Path:
    """Return the folder of a run when it is finished, given its finished or unfinished folder."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def settle(out: Path) -> None:
    """Take the last steps of a training that was complete when its process was killed. `out` then exists."""
    if unfinished(out).is_dir():
        _work(out, overwrite=False).settle()


def is_unfinished(path: Path) -> bool:
    """Return whether a folder is an unfinished run."""
    return kind_of(path) == KIND


def resume_command(out: Path) -> str:
    """Return the command that continues a run."""
    return f"ecgkit pretrain --resume {shlex.quote(str(out))}"


def left_of(out: Path) -> Left:
    """Return what a stopped training has left on disk, and the command that continues it."""
    folder = unfinished(out)
    if not (is_unfinished(folder) and (folder / RESUME).is_file()):
        return Left("no checkpoint was written, so nothing is kept")
    steps = sorted(path.name for path in (folder / CHECKPOINTS).glob("step-*"))
    if not steps:
        return Left("no checkpoint was written, so nothing is kept")
    return Left(f"{folder} keeps the checkpoint of step {int(steps[-1].removeprefix('step-')):,}", resume_command(out))


def read_resume(path: Path) -> dict[str, Any]:
    """Return the settings with which an unfinished run was started.

    Args:
        path: The finished or unfinished folder of the run.

    Raises:
        RunError: There is no unfinished run.
    """
    out = finished(path)
    folder = unfinished(out)
    settle(out)
    if not is_unfinished(folder):
        if kind_of(out) == "run":
            raise RunError(f"{out} is finished", remedy="Only an unfinished run can be resumed.")
        raise RunError(f"{out} has no unfinished run: there is no folder {folder}", remedy="Check --resume.")
    if not (folder / RESUME).is_file():
        raise RunError(f"{folder} holds no checkpoint yet", remedy="Give the command again that began the training.")
    saved = read_yaml(folder / RESUME)
    if missing := [name for name in ("store", "task", "options") if name not in saved]:
        raise RunError(
            f"{folder / RESUME} is damaged: it has no {missing[0]}",
            remedy="Restore it from a backup, or give the command that began the training with --overwrite.",
        )
    return saved


@contextmanager
def run_in_progress(out: Path, settings: dict[str, Any], *, overwrite: bool, resume: bool) -> Iterator[Path]:
    """Yield the folder of an unfinished run; it becomes `out` when the block ends without an error.

    Args:
        out: The run.
        settings: Settings of the training. To resume a run, ``identity`` must be the same.
        overwrite: Replace an earlier run, finished or unfinished.
        resume: Continue an unfinished run if there is one.

    Raises:
        OutputError: A finished run, an unfinished run or something else is in the way, or another process trains it.
    """
    check_free(out, overwrite=overwrite, resume=resume)
    work = _work(out, overwrite=overwrite)
    with work.open():
        if not resume:
            work.clear()
        _take_over(work.folder)
        _check_parents(work.folder, settings)
        _check_data(work.folder, settings)
        work.begin(str(settings["identity"]), anew=False)
        with atomic_file(work.folder / RESUME) as path:
            write_yaml(path, settings)
        yield work.folder
        work.finish()


def check_free(out: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuse early if `run_in_progress` could not make the run's folder.

    Raises:
        OutputError: A finished run, an unfinished run or something else is in the way.
    """
    _work(out, overwrite=overwrite).check_free()
    folder = unfinished(out.absolute())
    if folder.exists() and not resume and not overwrite and _worth_keeping(folder):
        raise OutputError(
            f"{folder} is an unfinished run",
            remedy=f"Continue it with '{resume_command(out)}', or start again with --overwrite.",
        )


def _work(out: Path, *, overwrite: bool) -> Unfinished:
    return Unfinished(
        out,
        "run",
        overwrite=overwrite,
        in_place=True,
        keep=_worth_keeping,
        spare=(CHECKPOINTS, RESUME),
        left=partial(left_of, out),
    )


def _take_over(folder: Path) -> None:
    """Write the plan of an unfinished run of earlier releases, which kept its identity in resume.yaml alone."""
    if (folder / RESUME).is_file() and not (folder / PLAN).exists():
        write_plan(folder, str(read_yaml(folder / RESUME).get("identity", "")))


def _check_parents(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to resume a run if the weights of a run that it is built on have changed."""
    before = read_yaml(folder / RESUME).get("built_on", []) if (folder / RESUME).is_file() else []
    for was, now in zip(before, settings.get("built_on", []), strict=False):
        if was["weights_sha256"] != now["weights_sha256"]:
            raise OutputError(
                f"{folder} was built on other weights than {now['run']} holds now",
                remedy="Restore the earlier weights, or start again with --overwrite.",
            )


def _check_data(folder: Path, settings: dict[str, Any]) -> None:
    """Refuse to resume a run if its data has changed, and say what has."""
    saved = read_yaml(folder / RESUME) if (folder / RESUME).is_file() else {}
    before, now = saved.get("data", {}), settings.get("data", {})
    changed = [name for name in before if before[name] != now.get(name)]
    if changed and saved.get("identity") != settings["identity"]:
        what = "; ".join(f"{name}: {before[name]} then, {now.get(name)} now" for name in changed)
        raise OutputError(
            f"the data of {folder} has changed since the training began ({what})",
            remedy=f"Restore {settings.get('store')} as it was, or start again with --overwrite.",
        )


def _worth_keeping(folder: Path) -> bool:
    return any((folder / CHECKPOINTS).glob("step-*")) or any(folder.glob(f"{DIVERGED}*"))
