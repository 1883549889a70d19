"""Draws where a detector and its reference differ most: 10 s of each of the worst records, with both sets of beats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.beats.score import RecordScore
from ecgkit.ingestion import find_dataset
from ecgkit.recording import Recording
from ecgkit.reporting.pictures.ecg import FONT, INK, PEAKS, QUIET

SECONDS = 10.0
SHOWN_LEADS = ("II", "V5")
REFERENCE = "#c2570c"


def plot_worst(src: Path, worst: Sequence[RecordScore], detector: str, out: Path, *, dataset: str = "") -> None:
    """Write a PNG of records with the beats of the detector and the reference.

    Args:
        src: Folder of the evaluated dataset.
        worst: The records, from top to bottom; not empty.
        detector: Name of the detector.
        out: The PNG file.
        dataset: Layout of the folder; empty to detect it.
    """
    layout = find_dataset(src, dataset)
    sources = {source.record_id: source for source in layout.sources()}
    chosen = [sources[record.record] for record in worst]
    recordings = [layout.read(source, layout.header(source)) for source in chosen]
    figure = worst_figure(recordings, worst, detector)
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png", dpi=110)


def worst_figure(recordings: Sequence[Recording], worst: Sequence[RecordScore], detector: str) -> Figure:
    """Return the picture: two leads per record, from shortly before the first difference."""
    figure = Figure(figsize=(11, 2.3 * len(worst) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(worst), 1, squeeze=False)[:, 0]
    for axes, recording, record in zip(panels, recordings, worst, strict=True):
        _draw_record(axes, recording, record, detector)
    panels[-1].set_xlabel("s", fontsize=8, color=QUIET, family=FONT)
    return figure


def first_difference(record: RecordScore, tolerance: int) -> int:
    """Return the first beat of the detector or the reference that has no matching beat."""
    sides = (record.expected, record.found)
    lonely = np.concatenate([_lonely(sides[0], sides[1], tolerance), _lonely(sides[1], sides[0], tolerance)])
    return int(lonely.min(initial=np.iinfo(np.int64).max)) if len(lonely) else 0


def _lonely(one: NDArray[np.int64], other: NDArray[np.int64], tolerance: int) -> NDArray[np.int64]:
    if not len(other):
        return one
    return one[np.abs(one[:, None] - other).min(1) > tolerance]


def _draw_record(axes: Axes, recording: Recording, record: RecordScore, detector: str) -> None:
    fs, T = recording.fs, recording.signal.shape[-1]
    first = first_difference(record, int(record.scores[0].tolerance * fs / 1000))
    start = int(np.clip(first - 2 * fs, 0, max(0, T - SECONDS * fs)))
    stop = min(T, start + round(SECONDS * fs))
    leads = [lead for lead in SHOWN_LEADS if lead in recording.leads] or list(recording.leads[:2])
    time = np.arange(start, stop) / fs
    for i, lead in enumerate(leads):
        signal = recording.signal[recording.leads.index(lead), start:stop]
        height = np.nanmax(signal) - np.nanmin(signal) if np.isfinite(signal).any() else 1.0
        axes.plot(time, (signal - np.nanmedian(signal)) / max(height, 1e-6) - i, color=INK, linewidth=0.7)
        axes.text(time[0], 0.12 - i, lead, fontsize=8, color=QUIET, family=FONT, ha="right")
    sides = ((record.found, 0.95, "v", PEAKS), (record.expected, 0.15 - len(leads), "^", REFERENCE))
    for peaks, y, marker, color in sides:
        shown = peaks[(peaks >= start) & (peaks < stop)] / fs
        axes.plot(shown, np.full(len(shown), y), marker, color=color, markersize=5, markeredgewidth=0)
    score = record.scores[0]
    title = f"record {record.record}: {detector} (blue, above) and {record.reference} (orange, below), "
    title += f"{score.missed} missed, {score.extra} extra"
    axes.set_title(title, loc="left", fontsize=9, family=FONT, color=INK, parse_math=False)
    axes.set(xlim=(time[0], time[-1]), ylim=(-len(leads), 1.15), yticks=[])
    axes.tick_params(labelsize=7, colors=QUIET)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
