"""Comparison of the training curves of runs, finished or unfinished."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.errors import RunError

WIDTH, HEIGHT = 7.0, 4.2  # inches


@dataclass(frozen=True)
class Curves:
    """The training curves of a run.

    Args:
        name: The run's folder; ``NAME.partial`` while it is not finished.
        method: Method family and preset.
        finished: Whether training is complete.
        epochs: Number of planned epochs.
        metrics: The metrics of the epochs so far.
    """

    name: str
    method: str
    finished: bool
    epochs: int
    metrics: list[dict[str, Any]]

    def values(self, name: str) -> tuple[list[int], list[float]]:
        """Return the epochs that have a metric, and its values."""
        known = [(line["epoch"], line[name]) for line in self.metrics if line.get(name) is not None]
        return [epoch for epoch, _ in known], [value for _, value in known]


def common_metrics(runs: Sequence[Curves]) -> list[str]:
    """Return the names of the losses and probes that any of the runs has."""
    names = {name: None for run in runs for line in run.metrics for name in line}
    return [name for name in names if name.startswith(("train_", "val_", "probe_"))]


def plot_curves(runs: Sequence[Curves], metric: str, file: Path) -> None:
    """Draw a metric of every run over its epochs into a PNG file.

    Raises:
        RunError: No run has the metric.
        OutputError: `file` does not end in ``.png``.
    """
    check_suffix(file, ".png")
    if not any(run.values(metric)[0] for run in runs):
        raise RunError(f"no run has {metric!r}", f"one of {', '.join(common_metrics(runs)) or 'none'}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for run in runs:
        epochs, values = run.values(metric)
        axes.plot(
            epochs, values, marker="." if len(epochs) < 30 else "", linewidth=1.5, label=f"{run.name} ({run.method})"
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with atomic_file(file) as staging:
        figure.savefig(staging, dpi=150)
