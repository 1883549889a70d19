"""Draws an explanation on the page of an ECG machine.

Under the trace, red raises the score and blue lowers it; violet is attention. Below the page are the worth of each lead
and of each part of the beat.
"""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from ecgkit.atomic import atomic_file
from ecgkit.evaluation.analyses.explanation import Explanation
from ecgkit.recording import Recording
from ecgkit.reporting.pictures.ecg import (
    DPI,
    FONT,
    GRID_LEFT,
    GRID_WIDTH,
    INK,
    MM_PER_INCH,
    PAPER,
    POINTS_PER_MM,
    QUIET,
    ROW_LEFT,
    ecg_figure,
    fit_text,
)
from ecgkit.reporting.pictures.ecg_layout import MM_PER_SECOND, Panel

RAISES, LOWERS, LOOKS = "#c8321f", "#2f6fc4", "#7a3fb5"
COLOURS = LinearSegmentedColormap.from_list("explanation", [LOWERS, "#ffffff", RAISES])
ATTENTION = LinearSegmentedColormap.from_list("attention", [LOWERS, "#ffffff", LOOKS])
WIDE = 2.6  # mm of the band under the trace
SMOOTH = 0.04  # s over which the map is averaged for the eye
STRONG = 0.99  # quantile of the magnitudes that has the full colour
BARS = 46.0  # mm below the page for the bars


def plot_explanation(
    found: Explanation, recording: Recording, out: Path, *, title: str = "", subtitle: str = ""
) -> None:
    """Write the picture of an explanation as a PNG file.

    Args:
        found: The explanation.
        recording: The record as it is stored.
        out: The PNG file; it appears complete or not at all.
        title: First line.
        subtitle: Second line.
    """
    figure = explanation_figure(found, recording, title=title, subtitle=subtitle)
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png", dpi=DPI)


def explanation_figure(found: Explanation, recording: Recording, *, title: str = "", subtitle: str = "") -> Figure:
    """Return the picture as a figure; see `plot_explanation`."""
    strength, colours = map_strength(found), ATTENTION if found.attends else COLOURS

    def under(axes: Axes, panel: Panel, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        if panel.lead not in found.leads:
            return
        at = np.round((x - ROW_LEFT - panel.left) / MM_PER_SECOND * found.fs + panel.start * found.fs).astype(int)
        own = strength[found.leads.index(panel.lead)]
        shade = np.where((at >= 0) & (at < len(own)), own[at.clip(0, len(own) - 1)], 0.0)
        _draw_band(axes, x, y, shade, colours)

    figure = ecg_figure(recording, title=title, subtitle=subtitle, under=under, band=map_note(found))
    width, height = figure.get_size_inches() * MM_PER_INCH
    figure.set_size_inches(width / MM_PER_INCH, (height + BARS) / MM_PER_INCH)
    figure.axes[0].set_position((0, BARS / (height + BARS), 1, height / (height + BARS)))
    _draw_bars(figure, found, height + BARS, width)
    return figure


def map_strength(found: Explanation) -> NDArray[np.float64]:
    """Return the map between -1 and 1, smoothed for the eye, ``[L, W]``.

    Attention is shown from its weakest stretches, which have no colour, to its strongest.
    """
    smooth = uniform_filter1d(found.values, max(1, round(SMOOTH * found.fs)), axis=-1, mode="nearest")
    if not smooth.size:
        return smooth
    if found.attends and smooth.min() >= 0:
        weak, full = np.quantile(smooth, [1 - STRONG, STRONG])
        return np.clip((smooth - weak) / (full - weak), 0, 1) if full > weak else np.zeros_like(smooth)
    full = float(np.quantile(np.abs(smooth), STRONG))
    return np.clip(smooth / full, -1, 1) if full > 0 else np.zeros_like(smooth)


def _draw_band(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    shade: NDArray[np.float64],
    colours_of: LinearSegmentedColormap,
) -> None:
    """Draw a band under a trace in the colour of its strength; weak stretches are left out."""
    seen = (np.abs(shade) > 0.08) & np.isfinite(y)
    points = np.stack([x, y], axis=1)
    pairs = np.flatnonzero(seen[:-1] & np.isfinite(y[1:]))
    if not len(pairs):
        return
    colours = colours_of((shade[pairs] + 1) / 2)
    colours[:, 3] = np.abs(shade[pairs]) ** 0.7
    segments = np.stack([points[pairs], points[pairs + 1]], axis=1)
    axes.add_collection(
        LineCollection(
            list(segments), colors=colours, linewidths=WIDE * POINTS_PER_MM, capstyle="butt", zorder=2, gid="map"
        ),
        autolim=False,
    )


def map_note(found: Explanation) -> str:
    """Return what the colours mean, in one sentence."""
    if found.attends:
        even = np.abs(found.values).mean() or 1.0
        weak, strong = np.quantile(found.values, [1 - STRONG, STRONG]) / even
        which = "through all layers" if found.way == "attention" else "of the last layer"
        return f"attention {which}: white {weak:.1f}, violet {strong:.1f} times an even share"
    seconds = found.values.shape[-1] / found.fs
    how = "integrated gradients" if found.way == "gradients" else "occlusion of 0.2 s"
    return f"{how} over {seconds:.4g} s: red raises {found.output}, blue lowers it"


def _draw_bars(figure: Figure, found: Explanation, height: float, width: float) -> None:
    """Draw the fall of the score without each lead and without each part of the beat, side by side."""
    half = (GRID_WIDTH - 22) / 2
    for left, names, falls, heading in (
        (GRID_LEFT + 6, found.leads, found.without_lead, "fall of the score without the lead"),
        (GRID_LEFT + half + 28, found.parts, found.without_part, "fall of the score without this part of every beat"),
    ):
        axes = figure.add_axes((left / width, 12 / height, (half - 6) / width, (BARS - 20) / height))
        values = np.nan_to_num(falls)
        axes.bar(range(len(names)), values, color=np.where(values >= 0, RAISES, LOWERS), width=0.62)
        axes.axhline(0, color=QUIET, linewidth=0.6)
        axes.set_xticks(range(len(names)), names, fontsize=8, family=FONT)
        axes.tick_params(axis="y", labelsize=7, colors=QUIET)
        axes.tick_params(axis="x", length=0)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.set_facecolor(PAPER)
        axes.set_title(heading, fontsize=8.5, family=FONT, color=INK, loc="left")
    check = found.check
    text = (
        f"deleting the top tenth of the map: the score falls by {check.fall:z.2f}; random tenths: "
        f"{check.random_fall:z.2f} (sd {check.random_sd:.2f})"
    )
    if check.likeness is not None:
        text += f"   ·   likeness to the map of shuffled weights: {check.likeness:z.2f}"
    if not check.passed:
        text = f"this map fails its check   ·   {text}"
    y = 3.5 / height
    figure.text(GRID_LEFT / width, y, fit_text(text, GRID_WIDTH, 8.5), fontsize=8.5, family=FONT, color=QUIET)
