"""``ecgkit.compare_runs`` and ``ecgkit.import_weights``: training curves, and runs from published weights."""

from collections.abc import Sequence
from pathlib import Path

from ecgkit.api.arguments import PathLike, path_or_none
from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError
from ecgkit.plugins import host
from ecgkit.training.curves import Curves, common_metrics, plot_curves, read_curves
from ecgkit.training.published import Imported, import_published


def compare_runs(paths: Sequence[PathLike], *, metric: str = "val_loss", out: PathLike | None = None) -> list[Curves]:
    """Return the training curves of runs, finished or unfinished; draw one metric if `out` is given.

    Args:
        paths: Run folders.
        metric: Name of the metric.
        out: PNG file to draw the curves into.

    Raises:
        RunError: A path is not a run, or no run has the metric.
        OutputError: `out` does not end in ``.png``, or cannot be written.
    """
    runs = [read_curves(Path(path)) for path in paths]
    known = common_metrics(runs)
    if known and metric not in known:
        raise RunError(f"no run has {metric!r}", f"one of {', '.join(known)}")
    picture = path_or_none(out)
    if picture is not None:
        plot_curves(runs, metric, picture)
    return runs


def import_weights(file: PathLike, *, method: str, out: PathLike, overwrite: bool = False) -> Imported:
    """Make a run folder from published weights with their official parameter names.

    Args:
        file: File of published weights: ``.pth``, ``.safetensors`` or ``.npz``.
        method: Method family that the weights belong to.
        out: Run folder to write.
        overwrite: Replace an existing run.

    Returns:
        The number of values taken, and the names of parameters left out.

    Raises:
        PluginError: There is no such method.
        RunError: The method has no importer, or the file does not hold its weights.
        OutputError: `out` exists, or cannot be written.
    """
    return import_published(host().get(MethodEntry, method), Path(file), Path(out), overwrite=overwrite)
