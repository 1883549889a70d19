"""A store's beats on one page: the mean beat of each lead, and the histogram of RR intervals."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.beats.peaks import Peaks
from ecgkit.errors import StoreError
from ecgkit.report.pictures.ecg import FONT, INK, PEAKS, QUIET
from ecgkit.signal.microvolts import decode
from ecgkit.signal.repair import interpolate_gaps
from ecgkit.signal.resample import resample
from ecgkit.store.reader import Store

RATE = 250.0  # Hz at which beats are averaged, whatever the records' own rates
RR_BIN = 0.02  # s


@dataclass(frozen=True)
class MeanBeats:
    """The mean beat of each lead.

    Args:
        leads: Names.
        seconds: ``[W]``, time from the R peak in s.
        mean: ``[L, W]`` in mV (or NU); NaN for a lead without a beat.
        spread: ``[L, W]``, standard deviation over beats.
        beats: ``[L]``, how many were averaged.
    """

    leads: tuple[str, ...]
    seconds: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    beats: NDArray[np.int64]


def mean_beats(
    store: Store, peaks: Peaks, *, before: float = 0.3, after: float = 0.5, most: int | None = None
) -> MeanBeats:
    """Average the beats of a store, each centred on its own median.

    Args:
        store: The store.
        peaks: Its R peaks.
        before: Window before the peak in s.
        after: Window after it in s; a beat whose window reaches beyond the record, or holds a missing sample in a
            lead, is left out there.
        most: Beats of a record that count, from its first; None for all.
    """
    offsets = np.arange(-round(before * RATE), round(after * RATE))
    L, W = len(store.leads), len(offsets)
    total, squares, count = np.zeros((L, W)), np.zeros((L, W)), np.zeros(L, np.int64)
    samples, columns = store.table["samples"].to_numpy(), [set(leads) for leads in store.table["leads"]]
    for start in range(0, len(store), store.chunk_records):
        block = store.verified(start, min(start + store.chunk_records, len(store)))
        for row, stored in enumerate(block, start):
            leads = [i for i, lead in enumerate(store.leads) if lead in columns[row]]
            beats = _beats(decode(stored[leads, : samples[row]]), peaks.of(row), float(peaks.fs[row]), offsets, most)
            good = np.all(np.isfinite(beats), axis=-1)  # [L, N]
            beats = np.where(good[..., None], beats, 0.0)
            total[leads] += beats.sum(1)
            squares[leads] += (beats**2).sum(1)
            count[leads] += good.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count[:, None]
        spread = np.sqrt(np.maximum(squares / count[:, None] - mean**2, 0))
    return MeanBeats(store.leads, offsets / RATE, mean, spread, count)


def _beats(
    signal: NDArray[np.float32], rpeaks: NDArray[np.int64], fs: float, offsets: NDArray[np.int64], most: int | None
) -> NDArray[np.float64]:
    """Return ``[L, N, W]`` at `RATE`, NaN where a sample is missing."""
    missing = ~np.isfinite(signal)
    moved = resample(interpolate_gaps(signal), fs, RATE, "poly").astype(np.float64)
    if missing.any():
        nearest = np.minimum((np.arange(moved.shape[-1]) * fs / RATE).round().astype(int), signal.shape[-1] - 1)
        moved[missing[:, nearest]] = np.nan
    at = np.floor(rpeaks * RATE / fs + 0.5).astype(np.int64)
    at = at[(at + offsets[0] >= 0) & (at + offsets[-1] < moved.shape[-1])][:most]
    beats = moved[:, at[:, None] + offsets]
    return beats - np.median(beats, axis=-1, keepdims=True) if len(at) else beats


def rr_intervals(peaks: Peaks) -> NDArray[np.float64]:
    """Return all RR intervals of a store in s."""
    record = np.repeat(np.arange(len(peaks)), peaks.counts)
    same = record[1:] == record[:-1]
    return np.diff(peaks.samples)[same] / peaks.fs[record[1:][same]]


def plot_beats(
    store: Store, peaks: Peaks, out: Path, *, before: float = 0.3, after: float = 0.5, most: int | None = None
) -> None:
    """Write the picture as a PNG; see `mean_beats` for the arguments.

    Raises:
        StoreError: No beat can be averaged.
    """
    beats = mean_beats(store, peaks, before=before, after=after, most=most)
    if not beats.beats.any():
        raise StoreError(f"no beat of {store.path} fits {before:g} s before and {after:g} s after its R peak", "one")
    figure = beats_figure(store.name, beats, rr_intervals(peaks), peaks)
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png", dpi=120)


def beats_figure(name: str, beats: MeanBeats, rr: NDArray[np.float64], peaks: Peaks) -> Figure:
    """Return the page: leads in rows of four, the histogram below."""
    rows = -(-len(beats.leads) // 4)
    figure = Figure(figsize=(11, 2.0 * rows + 2.9), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(rows + 1, 4, height_ratios=[*[1.0] * rows, 1.25])
    limit = 1.1 * float(np.nanmax(np.abs(beats.mean)))
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
    return figure


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
