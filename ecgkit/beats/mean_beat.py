"""Statistics over a store's beats: the mean beat of each lead, and all RR intervals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.beats.peaks import Peaks
from ecgkit.signal.repair import interpolate_gaps
from ecgkit.signal.resample import resample
from ecgkit.store.reader import Store

RATE = 250.0  # Hz at which beats are averaged, whatever the rates of the records


@dataclass(frozen=True)
class MeanBeats:
    """The mean beat of each lead.

    Args:
        leads: Names of the L leads.
        seconds: ``[W]``, time from the R peak in s.
        mean: ``[L, W]`` in mV (or NU); NaN for a lead without a beat.
        spread: ``[L, W]``, standard deviation over beats.
        beats: ``[L]``, number of averaged beats.
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
        most: Number of beats per record, from its first; None for all.
    """
    offsets = np.arange(-round(before * RATE), round(after * RATE))
    L, W = len(store.leads), len(offsets)
    total, squares, count = np.zeros((L, W)), np.zeros((L, W)), np.zeros(L, np.int64)
    samples, columns = store.table["samples"].to_numpy(), [set(leads) for leads in store.table["leads"]]
    for start, stop in store.spans(0, len(store)):
        for row, signal in enumerate(store.signals(start, stop), start):
            leads = [i for i, lead in enumerate(store.leads) if lead in columns[row]]
            beats = _beats(signal[leads, : samples[row]], peaks.of(row), float(peaks.fs[row]), offsets, most)
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
