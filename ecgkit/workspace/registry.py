"""The runs of a folder as a registry: filter, sort, the best run, tags, and a safe way to delete."""

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from ecgkit.atomic import atomic_file, kind_of
from ecgkit.errors import OutputError, RunError
from ecgkit.lock import hold
from ecgkit.training.unfinished import KIND, finished, resume_command, unfinished
from ecgkit.unfinished import LOCK
from ecgkit.workspace.runs import CONFIG, RUN, RUNS, TAGS, RunInfo, read_run, runs_of

HIGHER_IS_BETTER = ("probe_", "accuracy", "auroc", "auprc", "f1")  # parts of the names of such metrics
State = Literal["", "finished", "unfinished"]


def find_run(path: Path) -> RunInfo:
    """Return a run by its folder, or by its name below ``runs``.

    Raises:
        RunError: There is no such run.
    """
    for place in (path, Path(RUNS) / path):
        for folder in (place, unfinished(finished(place))):
            if is_run(folder):
                return read_run(folder)
    known = ", ".join(str(run.path) for run in reversed(runs_of(Path())))
    raise RunError(f"{path} is not a run", f"one of {known}" if known else "a run of 'ecgkit pretrain'")


def runs_among(paths: Sequence[Path]) -> list[RunInfo]:
    """Return the runs among folders; others, such as folders of results that ``runs/*`` names, are left out.

    Raises:
        RunError: A path does not exist, or none is a run.
    """
    found = {}
    for path in paths:
        folder = path if path.is_dir() else unfinished(finished(path))
        if not folder.is_dir():
            raise RunError(f"{path} does not exist", "a run of 'ecgkit pretrain', finished or not")
        if is_run(folder):
            found[folder.resolve()] = folder
    if not found:
        names = ", ".join(map(str, paths[:3]))
        raise RunError(f"{names}: no run among them", "runs of 'ecgkit pretrain', finished or not")
    return [read_run(folder) for folder in found.values()]


def ranked(runs: Sequence[RunInfo], metric: str) -> list[RunInfo]:
    """Return runs in order of their best value of a metric, the best first; runs without it come last.

    Raises:
        RunError: No run has the metric.
    """
    values = {run.path: best_value(run, metric) for run in runs}
    if runs and all(value is None for value in values.values()):
        raise RunError(f"no run has the metric {metric!r}", _known(runs))
    sign = -1 if rises(metric) else 1
    return sorted(runs, key=lambda run: (values[run.path] is None, sign * (values[run.path] or 0.0)))


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run, finished or unfinished."""
    return (folder / CONFIG).is_file() and kind_of(folder) in (RUN, KIND, "")


def selected(runs: Iterable[RunInfo], *, method: str = "", tag: str = "", state: State = "") -> list[RunInfo]:
    """Return the runs of a method, with a tag, finished or unfinished; empty texts select all.

    Raises:
        RunError: `state` is none of these.
    """
    if state not in ("", "finished", "unfinished"):
        raise RunError(f"state {state!r}", "finished or unfinished")
    return [
        run
        for run in runs
        if (not method or run.method == method)
        and (not tag or tag in run.tags)
        and (not state or run.finished == (state == "finished"))
    ]


def best_of(runs: Sequence[RunInfo], metric: str) -> tuple[RunInfo, float]:
    """Return the finished run with the best value of a metric in any epoch, and the value.

    Raises:
        RunError: No finished run has the metric, or the losses of several methods would be compared.
    """
    if metric.endswith("loss") and len(methods := {run.method for run in runs if run.finished}) > 1:
        raise RunError(
            f"the {metric} of different methods cannot be compared: {', '.join(sorted(methods))}",
            remedy=f"Choose one with --method, such as: ecgkit runs best --method {min(methods)}",
        )
    scored = [(value, run) for run in runs if run.finished and (value := best_value(run, metric)) is not None]
    if not scored:
        raise RunError(f"no finished run has the metric {metric!r}", _known(runs))
    value, run = (max if rises(metric) else min)(scored, key=lambda pair: pair[0])
    return run, value


def best_value(run: RunInfo, metric: str) -> float | None:
    """Return the best value of a metric in any epoch of a run."""
    values = [line[metric] for line in run.metrics if line.get(metric) is not None]
    return (max if rises(metric) else min)(values) if values else None


def _known(runs: Iterable[RunInfo]) -> str:
    """Return the metrics that runs have, for an error."""
    names = {name: None for run in runs for line in run.metrics for name in line}
    known = [name for name in names if name.startswith(("train_", "val_", "probe_"))]
    return f"one of {', '.join(known)}" if known else "a run with finished epochs"


def rises(metric: str) -> bool:
    """Return whether higher values of a metric are better."""
    return any(part in metric for part in HIGHER_IS_BETTER)


def tag(run: RunInfo, tags: Sequence[str], *, remove: bool = False) -> tuple[str, ...]:
    """Add tags to a run, or remove them; return the tags that it has now.

    Raises:
        RunError: A tag is empty, or is not there to be removed.
        OutputError: The run cannot be written to.
    """
    wanted = [text.strip() for text in tags]
    if not all(wanted):
        raise RunError("a tag is empty", "words such as baseline")
    absent = [text for text in wanted if text not in run.tags]
    if remove and absent:
        raise RunError(f"{run.path} has no tag {absent[0]!r}", f"one of {', '.join(run.tags) or 'none'}")
    kept = [text for text in run.tags if not remove or text not in wanted]
    now = tuple(dict.fromkeys(kept if remove else [*kept, *wanted]))
    with atomic_file(run.folder / TAGS) as path:
        path.write_text(json.dumps(now), encoding="utf-8")
    return now


def delete(runs: Sequence[RunInfo], others: Sequence[RunInfo], confirm: Callable[[RunInfo, int], bool]) -> list[Path]:
    """Delete runs with their results, those that `confirm` agrees to; return their folders.

    Args:
        runs: The runs to delete.
        others: All runs that might build on them.
        confirm: Called with each run and the number of results in its folder.

    Raises:
        RunError: A run is being trained, or another run builds on it. Then none is deleted.
        OutputError: ecgkit did not make the folder, or it cannot be written.
    """
    for run in runs:
        _check_deletable(run, [other for other in others if other.path not in {each.path for each in runs}])
    deleted = []
    for run in runs:
        if confirm(run, sum(1 for _ in run.folder.rglob("row.json"))):
            _remove(run)
            deleted.append(run.folder)
    return deleted


def _check_deletable(run: RunInfo, others: Sequence[RunInfo]) -> None:
    if not kind_of(run.folder):
        raise OutputError(f"{run.folder} is not deleted: ecgkit did not make it", remedy="Remove the folder by hand.")
    if run.holder:
        raise RunError(
            f"{run.path} is being trained ({run.holder})",
            remedy=f"Stop that process first; '{resume_command(run.path)}' would continue it.",
        )
    above = [other for other in others if any(_same(run.path, parent) for parent in other.built_on)]
    if above:
        raise RunError(
            f"{above[0].path} builds on the weights of {run.path}",
            remedy=f"Delete {above[0].path} first, or together with it.",
        )


def _same(path: Path, parent: str) -> bool:
    return Path(parent).resolve() == path.resolve() or parent == path.name


def _remove(run: RunInfo) -> None:
    """Move a run aside and delete it, so that a half-deleted run is never found."""
    folder = run.folder
    if not run.finished:
        with hold(folder / LOCK, run.path, "trained"):
            shutil.rmtree(folder)
        return
    aside = folder.with_name(f".{folder.name}.deleted")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        folder.rename(aside)
    except OSError as error:
        raise OutputError(f"{folder} cannot be deleted ({error.strerror})") from None
    shutil.rmtree(aside)
