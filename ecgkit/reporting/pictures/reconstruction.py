"""Draws a masked model's reconstruction: the original, the masked parts, and the model's version of them."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ecgkit.evaluation.analyses.reconstruction import Rebuilt
from ecgkit.reporting.pictures.canvas import INK, QUIET, new_figure, save

HIDDEN, REBUILT = "#f3f1e4", "#c2571a"
ROW = 2.2  # distance between leads; a trace is cut at 1.1 above and below its line


def plot_reconstruction(rebuilt: Rebuilt, out: Path, *, title: str) -> None:
    """Draw one record with one row per lead: the original, the masked pieces shaded, and their reconstruction.

    Args:
        rebuilt: The reconstructed record.
        out: The PNG file; it appears complete or not at all.
        title: First line of the picture.
    """
    parts = rebuilt.parts
    original, made = (x[0].float().cpu().numpy() for x in (parts.original, parts.rebuilt))  # (L, n, p)
    hidden, visible = (x[0].cpu().numpy() for x in (rebuilt.hidden, parts.visible))  # (L, n)
    shown = np.flatnonzero((hidden | visible).any(0))  # pieces that at least one lead has
    original, made, hidden = original[:, shown], made[:, shown], hidden[:, shown]
    L, n, p = original.shape
    figure = new_figure(12, 0.62 * L + 1.3)
    axes = figure.subplots()
    scale = max(float(np.quantile(np.abs(original), 0.995)), 1e-9)
    for lead, name in enumerate(rebuilt.leads):
        base = -ROW * lead
        axes.text(-0.01 * n * p, base, name, ha="right", va="center", fontsize=9, color=INK)
        _draw_lead(axes, base, original[lead] / scale, made[lead] / scale, hidden[lead])
    for piece in range(1, n):
        axes.axvline(piece * p, color="#e6e6ea", linewidth=0.5, zorder=1)
    axes.set(xlim=(0, n * p), ylim=(-ROW * L + 1.0, 1.3))
    axes.set_axis_off()
    figure.suptitle(title, fontsize=11, color=INK)
    note = (
        f"record {rebuilt.record}; black: original, shaded: hidden ({100 * rebuilt.hidden_share:.0f} %), "
        f"orange: rebuilt; {n} pieces of {p} samples per lead; mean squared error where hidden {rebuilt.error:.3f}"
    )
    figure.supxlabel(note, fontsize=8, color=QUIET)
    save(figure, out)


def _draw_lead(
    axes: Axes, base: float, original: NDArray[np.float32], made: NDArray[np.float32], hidden: NDArray[np.bool_]
) -> None:
    """Draw the pieces ``[n, p]`` of one lead around a line."""
    p = original.shape[-1]
    for piece, is_hidden in enumerate(hidden):
        x = np.arange(piece * p, (piece + 1) * p)
        axes.plot(x, base + original[piece].clip(-1.1, 1.1), color=INK, linewidth=0.8, zorder=2)
        if is_hidden:
            axes.fill_between([x[0], x[-1] + 1], base - 1.05, base + 1.05, color=HIDDEN, linewidth=0, zorder=0)
            axes.plot(x, base + made[piece].clip(-1.1, 1.1), color=REBUILT, linewidth=1.1, zorder=3)
