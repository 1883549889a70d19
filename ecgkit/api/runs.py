"""``ecgkit.compare_runs`` and its companions: the runs of a folder, their curves, tags, and runs from weights."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike, Settings, assignments, path_or_none
from ecgkit.atomic import check_output
from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.plugins import host
from ecgkit.training.curves import Curves, common_metrics, plot_curves, read_curves
from ecgkit.training.hub import fetch_weights
from ecgkit.training.published import Imported, import_published
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
    runs = [read_curves(run.folder) for run in found]
    known = common_metrics(runs)
    if known and metric not in known:
        raise RunError(f"no run has {metric!r}", f"one of {', '.join(known)}")
    picture = path_or_none(out)
    if picture is not None:
        plot_curves(runs, metric, picture)
    return runs


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


def import_weights(
    file: PathLike,
    *,
    method: str,
    out: PathLike,
    source: str = "",
    settings: Settings = (),
    overwrite: bool = False,
) -> Imported:
    """Make a run folder from published weights with their official parameter names.

    Args:
        file: File of published weights: ``.pth``, ``.safetensors`` or ``.npz``.
        method: Method family that the weights belong to.
        out: Run folder to write.
        source: Place on a model hub from which to fetch the file, as ``hf://ORGANISATION/NAME``; `file` is then its
            name there. Empty for a local file.
        settings: Changes of the settings that no weight depends on, such as ``signal.window=30``.
        overwrite: Replace an existing run.

    Returns:
        The number of values and tensors taken, the names of tensors left out, and the cards of the weights.

    Raises:
        PluginError: There is no such method.
        RunError: The method has no importer, or the file does not hold its weights.
        ConfigError: `source` has another form, a setting is wrong, or the library of the hub is not installed.
        DownloadError: The file cannot be fetched, or is damaged.
        OutputError: `out` exists, or cannot be written.
    """
    entry, folder, changes = host().get(MethodEntry, method), Path(out), assignments(settings)
    if not source:
        return import_published(entry, Path(file), folder, settings=changes, overwrite=overwrite)
    check_output(folder, "run", overwrite=overwrite)
    fetched = fetch_weights(source, str(file))
    return import_published(entry, fetched.file, folder, settings=changes, overwrite=overwrite, fetched=fetched.facts)
