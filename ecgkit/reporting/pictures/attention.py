"""Draws a record with a model's attention: attention over time behind the traces, and one bar per lead beside them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.evaluation.analyses.attention import RecordAttention

INK, QUIET, BAR, DROP = "#15151a", "#6b6b73", "#1f5fa8", "#b5542c"
# White for no weight, blue for positive weight, red for negative weight.
SHADES = LinearSegmentedColormap.from_list("shades", ["#e89a8a", "#ffffff", "#8fb8e8"])
SIZE = (13.0, 8.5)  # inches
DPI = 110


def plot_attention(found: RecordAttention, out: Path, *, title: str = "") -> None:
    """Write the picture of a record with a model's attention.

    Args:
        found: The attention, from `ecgkit.evaluation.analyses.attention.record_attention`.
        out: The PNG file; it appears complete or not at all.
        title: First line of the picture.
    """
    with atomic_file(out) as staging:
        attention_figure(found, title=title).savefig(staging, format="png", dpi=DPI)


def attention_figure(found: RecordAttention, *, title: str = "") -> Figure:
    """Return the picture as a figure; see `plot_attention`."""
    panels = (
        ("without the lead", "fall of the logit", found.without, DROP),
        ("gate", "weight of the lead's channels", found.gate, BAR),
    )
    bars = [panel for panel in panels if panel[2] is not None]
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    ratios = {"width_ratios": [5, *[1] * len(bars)], "height_ratios": [30, 1]}
    place = {"left": 0.06, "right": 0.98, "top": 0.86, "bottom": 0.08, "wspace": 0.12, "hspace": 0.18}
    grid = figure.add_gridspec(2, 1 + len(bars), **ratios, **place)
    shade = _draw_traces(figure.add_subplot(grid[0, 0]), found)
    for column, (heading, note, values, colour) in enumerate(bars, start=1):
        axes = figure.add_subplot(grid[0, column])
        _draw_bars(axes, found.leads, np.asarray(values), colour)
        axes.set_xlabel(note, fontsize=8)
        axes.set_title(heading, fontsize=10)
    bar = figure.colorbar(shade, cax=figure.add_subplot(grid[1, 0]), orientation="horizontal")
    bar.set_label("attention of the record's summary to time, mean over heads", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    figure.text(0.06, 0.945, title.replace("$", r"\$"), fontsize=13, weight="bold", color=INK)
    figure.text(0.06, 0.905, _subtitle(found), fontsize=9.5, color=QUIET)
    return figure


def _draw_traces(axes: Axes, found: RecordAttention) -> AxesImage:
    """Draw the leads below each other, shaded by the attention over time."""
    L, T = found.signal.shape
    seconds = np.arange(T) / found.fs
    step = float(np.ptp(found.signal, axis=1).max()) or 1.0
    largest = float(np.abs(found.over_time).max()) or 1.0
    extent = (0, T / found.fs, -(L - 0.5), 0.5)
    norm = Normalize(-largest, largest)
    shade = axes.imshow(
        found.over_time[None], aspect="auto", cmap=SHADES, norm=norm, extent=extent, interpolation="nearest"
    )
    for i in range(L):
        trace = (found.signal[i] - np.median(found.signal[i])) / step
        axes.plot(seconds, trace - i, color=INK, linewidth=0.6)
    axes.set_yticks([-i for i in range(L)], found.leads)
    axes.set(xlabel="seconds", xlim=(0, T / found.fs), ylim=(-(L - 0.5), 0.5))
    return shade


def _draw_bars(axes: Axes, leads: Sequence[str], values: NDArray[np.floating], colour: str) -> None:
    """Draw one bar per lead, at the height of its trace."""
    places = [-i for i in range(len(leads))]
    axes.barh(places, values, height=0.6, color=colour)
    axes.axvline(0, color=QUIET, linewidth=0.6)
    axes.set_yticks(places, leads)
    axes.set(ylim=(-(len(leads) - 0.5), 0.5))
    axes.tick_params(labelsize=8)


def _subtitle(found: RecordAttention) -> str:
    said = f"most likely: {found.label} ({found.probability:.2f}).  " if found.probability is not None else ""
    gate = "Channels mix leads, so the gate is no importance of leads." if found.gate is not None else ""
    return f"{said}{gate}".replace("$", r"\$")
