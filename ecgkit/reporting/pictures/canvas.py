"""Shared code of small figures: size, colours and saving."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgkit.atomic import atomic_file

DPI = 150
INK, QUIET = "#15151a", "#6b6b73"


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of the given size in inches, drawn without a window."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, out: Path) -> None:
    """Write a figure as PNG; it appears complete or not at all."""
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png")
