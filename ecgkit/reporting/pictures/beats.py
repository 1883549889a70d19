"""Draws a store's beats on one page: the mean beat of each lead, and the histogram of RR intervals."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.beats.mean_beat import MeanBeats, mean_beats, rr_intervals
from ecgkit.beats.peaks import Peaks
from ecgkit.errors import StoreError
from ecgkit.reporting.pictures.ecg import FONT, INK, PEAKS, QUIET
from ecgkit.store.reader import Store

RR_BIN = 0.02  # s


def plot_beats(
    store: Store, peaks: Peaks, out: Path, *, before: float = 0.3, after: float = 0.5, most: int | None = None
) -> None:
    """Write the picture as a PNG; see `ecgkit.beats.mean_beat.mean_beats` for the arguments.

    Raises:
        StoreError: No beat can be averaged.
    """
    beats = mean_beats(store, peaks, before=before, after=after, most=most)
    if not beats.beats.any():
        raise StoreError(f"no beat of {store.path} fits {before:g} s before and {after:g} s after its R peak", "one")
    figure = beats_figure(store.name, beats, rr_intervals(peaks), peaks, most)
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png", dpi=120)


def beats_figure(name: str, beats: MeanBeats, rr: NDArray[np.float64], peaks: Peaks, most: int | None = None) -> Figure:
    """Return the page as a figure: leads in rows of four, with the histogram below."""
    rows = -(-len(beats.leads) // 4)
    figure = Figure(figsize=(11, 2.0 * rows + 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, 4, height_ratios=[*[1.0] * rows, 1.25])
    limit = 1.05 * float(np.nanmax(np.abs(beats.mean) + beats.spread))
    for i, lead in enumerate(beats.leads):
        axes = figure.add_subplot(grid[i // 4, i % 4])
        _draw_lead(axes, beats, i, limit)
        axes.set_title(f"{lead}   {beats.beats[i]:,} beats", loc="left", fontsize=9, family=FONT, color=INK)
        if i // 4 == rows - 1 or i + 4 >= len(beats.leads):
            axes.set_xlabel("s from the R peak", fontsize=8, color=QUIET, family=FONT)
        if i % 4 == 0:
            axes.set_ylabel("mV", fontsize=8, color=QUIET, family=FONT)
    _draw_rr(figure.add_subplot(grid[rows, :]), rr)
    flagged = int(np.count_nonzero(peaks.flags != ""))
    title = f"{name}: {len(peaks.samples):,} beats in {len(peaks):,} records, by {peaks.attributes.get('detector', '')}"
    figure.suptitle(f"{title}; {flagged:,} records flagged", fontsize=12, family=FONT, color=INK, parse_math=False)
    figure.supxlabel(_note(beats, most), fontsize=8, color=QUIET, family=FONT, x=0.01, ha="left")
    return figure


def _note(beats: MeanBeats, most: int | None) -> str:
    """Return what line and band are, and why a lead averages fewer beats than were found."""
    step = beats.seconds[1] - beats.seconds[0]
    before, after = -beats.seconds[0], beats.seconds[-1] + step
    first = f"Only the first {most:,} beats of each record are averaged. " if most else ""
    return (
        "Line: mean beat; each beat is centred on its own median. Band: one standard deviation over beats, up and "
        f"down.\n{first}A beat is left out of a lead if its window, from {before:.2g} s before the R peak to "
        f"{after:.2g} s after it, reaches beyond the record or holds a missing sample."
    )


def _draw_lead(axes: Axes, beats: MeanBeats, i: int, limit: float) -> None:
    mean, spread = beats.mean[i], beats.spread[i]
    axes.axvline(0, color=PEAKS, linewidth=0.6)
    axes.axhline(0, color=QUIET, linewidth=0.4)
    axes.fill_between(beats.seconds, mean - spread, mean + spread, color=PEAKS, alpha=0.18, linewidth=0)
    axes.plot(beats.seconds, mean, color=INK, linewidth=1.1)
    axes.set(xlim=(beats.seconds[0], beats.seconds[-1]), ylim=(-limit, limit))
    _quiet(axes)


def _draw_rr(axes: Axes, rr: NDArray[np.float64]) -> None:
    if len(rr):
        longest = max(1.5, float(np.quantile(rr, 0.999)))
        axes.hist(rr, bins=np.arange(0, longest + RR_BIN, RR_BIN).tolist(), color=PEAKS)
        beyond = int(np.count_nonzero(rr > longest))
        note = f"median {np.median(rr):.2f} s ({60 / np.median(rr):.0f}/min)"
        note += f"; {beyond:,} longer than shown" if beyond else ""
        axes.set_title(f"{len(rr):,} RR intervals, {note}", loc="left", fontsize=9, family=FONT, color=INK)
        axes.set_xlim(0, longest)
    else:
        axes.set_title("no RR interval", loc="left", fontsize=9, family=FONT, color=INK)
    axes.set_xlabel("RR interval in s", fontsize=8, color=QUIET, family=FONT)
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.tick_params(labelsize=7, colors=QUIET)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
