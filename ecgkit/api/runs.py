"""``ecgkit.compare_runs`` and its companions: the runs of a folder, their curves and tags. No model is imported."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.errors import RunError
from ecgkit.training.curves import Curves, common_metrics, plot_curves
from ecgkit.workspace import registry
from ecgkit.workspace.registry import State
from ecgkit.workspace.runs import RunInfo, runs_of


def compare_runs(
    paths: Sequence[PathLike] = (),
    *,
    metric: str = "val_loss",
    out: PathLike | None = None,
    method: str = "",
    tag: str = "",
    state: State = "",
    sort: str = "",
) -> list[Curves]:
    """Return the training curves of runs, finished or unfinished; draw one metric if `out` is given.

    Args:
        paths: Run folders. By default all runs of the current folder and its folder ``runs``. Other folders among
            several, such as those of results, are left out.
        metric: Name of the metric.
        out: PNG file to draw the curves into.
        method: Only runs of this method family.
        tag: Only runs with this tag.
        state: Only runs that are ``finished`` or ``unfinished``.
        sort: Metric to sort by, the best run first. By default the run that changed last comes last.

    Raises:
        RunError: A path is not a run, or no run has the metric.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    found = registry.selected(list_runs(paths), method=method, tag=tag, state=state)
    if sort:
        found = registry.ranked(found, sort)
    runs = [_curves(run) for run in found]
    known = common_metrics(runs)
    if known and metric not in known:
        raise RunError(f"no run has {metric!r}", f"one of {', '.join(known)}")
    picture = path_or_none(out)
    if picture is not None:
        plot_curves(runs, metric, picture)
    return runs


def _curves(run: RunInfo) -> Curves:
    method = f"{run.method} {run.preset}" if run.preset else run.method
    return Curves(run.folder.resolve().name, method, run.finished, run.planned, run.metrics)


def list_runs(paths: Sequence[PathLike] = ()) -> list[RunInfo]:
    """Return the runs of the current folder and its folder ``runs``, or those among the given folders.

    Args:
        paths: Run folders, by their finished or unfinished names.

    Raises:
        RunError: No path is a run, or a path does not exist.
    """
    return registry.runs_among([Path(path) for path in paths]) if paths else runs_of(Path())


def show_run(run: PathLike) -> RunInfo:
    """Return what a run's folder says: method, state, metrics of each epoch, store, parents and tags.

    Args:
        run: The run, by its folder or by its name below ``runs``.

    Raises:
        RunError: There is no such run.
    """
    return registry.find_run(Path(run))


def best_run(*, metric: str = "val_loss", method: str = "", tag: str = "") -> tuple[RunInfo, float]:
    """Return the finished run with the best value of a metric in any epoch, and that value.

    Losses are best where they are lowest, probe scores where they are highest. Validation losses of different methods
    cannot be compared, so name a method or a tag.

    Args:
        metric: Name of the metric.
        method: Only runs of this method family.
        tag: Only runs with this tag.

    Raises:
        RunError: No finished run has the metric, or a loss of several methods would be compared.
    """
    return registry.best_of(registry.selected(runs_of(Path()), method=method, tag=tag), metric)


def tag_run(run: PathLike, tags: Sequence[str], *, remove: bool = False) -> tuple[str, ...]:
    """Add tags to a run, or remove them; return the tags that it has now.

    Args:
        run: The run, by its folder or by its name below ``runs``.
        tags: The tags.
        remove: Remove the tags instead.

    Raises:
        RunError: There is no such run, or it lacks a tag to remove.
        OutputError: The run cannot be written to.
    """
    return registry.tag(registry.find_run(Path(run)), tags, remove=remove)


def delete_runs(
    runs: Sequence[PathLike], *, confirm: Callable[[RunInfo, int], bool] = lambda run, results: True
) -> list[Path]:
    """Delete runs with the results in their folders; return the folders that were deleted.

    Args:
        runs: The runs, by their folders or by their names below ``runs``.
        confirm: Called with each run and the number of its results; the run is kept if it returns False.

    Raises:
        RunError: There is no such run, it is being trained, or another run builds on it. Then none is deleted.
        OutputError: ecgkit did not make the folder, or it cannot be deleted.
    """
    found = [registry.find_run(Path(run)) for run in runs]
    return registry.delete(found, runs_of(Path()), confirm)
