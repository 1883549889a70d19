"""The parts of a beat around known R peaks: P wave with PR segment, QRS, ST segment, T wave, and what lies between.

The bounds of the QRS are measured on the record: where the median beat, as the root mean square over the leads, leaves
its own resting level. The other bounds are those of a rate-corrected cycle, with Bazett's square root for the end of
the T wave. They are good enough to say to which part of the beat a moment belongs, and not to measure intervals.
"""

import numpy as np
from numpy.typing import NDArray

PARTS = ("P", "QRS", "ST", "T", "between")
P, QRS, ST, T, BETWEEN = range(len(PARTS))

EARLIEST, LATEST = 0.03, 0.09  # s before and after the R peak between which the bounds of the QRS are looked for
ABOVE = 0.15  # share of the height of the median beat's slope that belongs to the QRS
P_BEFORE, P_SHARE = 0.24, 0.35  # s before the R peak, and at most this share of the cycle
ST_LENGTH = 0.08  # s behind the QRS at 60 beats per minute
T_END = 0.44  # s behind the R peak at 60 beats per minute
LONGEST = 1.2  # s of a cycle that still count for its parts


def beat_parts(signal: NDArray[np.floating], rpeaks: NDArray[np.integer], fs: float) -> NDArray[np.int64]:
    """Return the part of the beat to which each sample belongs, as indices of `PARTS`, ``[T]``.

    Args:
        signal: ``[L, T]``.
        rpeaks: R peaks as sample indices; those outside the signal still bound the cycles of their neighbours.
        fs: Rate in Hz.
    """
    samples = signal.shape[-1]
    out = np.full(samples, BETWEEN, np.int64)
    peaks = np.sort(np.asarray(rpeaks, np.float64)) / fs
    if not len(peaks):
        return out
    before, after = _qrs_bounds(np.asarray(signal, np.float64), peaks, fs)
    cycles = np.diff(peaks)
    usual = float(np.median(cycles)) if len(cycles) else 1.0
    last = np.clip(np.concatenate([[usual], cycles]), 0.3, LONGEST)
    following = np.clip(np.concatenate([cycles, [usual]]), 0.3, LONGEST)
    for peak, rr_before, rr in zip(peaks, last, following, strict=True):
        stretch = np.sqrt(rr)
        t_end = min(T_END * stretch, 0.7 * rr)
        st_end = min(after + ST_LENGTH * stretch, t_end)
        p_start = min(P_BEFORE, max(P_SHARE * rr_before, before))
        for part, start, stop in (
            (T, st_end, t_end),
            (ST, after, st_end),
            (P, -p_start, -before),
            (QRS, -before, after),
        ):
            first, end = (round(float(peak + edge) * fs) for edge in (start, stop))
            out[max(first, 0) : max(min(end, samples), 0)] = part
    return out


def _qrs_bounds(signal: NDArray[np.float64], peaks: NDArray[np.float64], fs: float) -> tuple[float, float]:
    """Return how long before and after the R peak the QRS lies, in s."""
    reach = round(LATEST * fs)
    centres = np.round(peaks * fs).astype(int)
    inside = centres[(centres >= reach + 1) & (centres < signal.shape[-1] - reach - 1)]
    if not len(inside):
        return LATEST / 2, LATEST / 2
    windows = signal[:, inside[:, None] + np.arange(-reach - 1, reach + 2)]  # (L, N, W)
    beat = np.median(np.nan_to_num(windows), axis=1)
    slope = np.sqrt(np.square(np.gradient(beat, axis=-1)).mean(axis=0))[1:-1]
    steep = np.flatnonzero(slope > ABOVE * slope.max()) - reach if slope.max() > 0 else np.array([0])
    return tuple(float(np.clip(edge / fs, EARLIEST, LATEST)) for edge in (-steep.min(), steep.max()))  # type: ignore[return-value]
