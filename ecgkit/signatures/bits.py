"""The signature of one lead: the signs of its band from 5 to 20 Hz, on a grid of 200 points per second."""

import zlib

import numpy as np
from numpy.typing import NDArray

LEADS = ("I", "II", "V1", "V5")  # two limb and two chest leads: most reduced lead sets keep one of them
RATE = 200  # points per second, so that a copy that begins between two points of the thin grid is met within 2.5 ms
THIN = 4  # every fourth point is kept for records that others are compared with: 50 per second
LOWEST_FS = 50.0  # Hz; below it the band is not there
BAND = (3.5, 6.5, 16.0, 24.0)  # Hz; rises between the first two, falls between the last two
SILENT = 0.01  # share of the lead's RMS below which a stretch holds no signal of its own
STRETCH = 40  # points (0.2 s) over which that is judged


def lead_bits(signal: NDArray[np.floating], fs: float) -> NDArray[np.uint8] | None:
    """Return the signature of one lead, uint8 ``[P]`` of 0 and 1; None if the lead holds nothing to recognise it by.

    A stretch without signal gets bits that are drawn from a generator, which the lead's other bits seed. So a stretch
    that is flat in two recordings is no sign that they are the same.

    Args:
        signal: ``[T]``, in any unit. A missing sample is NaN.
        fs: Sampling rate in Hz.
    """
    known = np.isfinite(signal)
    points = grid_points(len(signal), fs)
    if fs < LOWEST_FS or points < 2 * STRETCH or not known.any():
        return None
    band = _band(np.where(known, signal - np.mean(signal, where=known), 0.0), fs, points)
    level = float(np.sqrt(np.mean(band**2)))
    if not np.isfinite(level) or level <= 0:
        return None
    bits = (band > 0).astype(np.uint8)
    silent = _level_around(band) < SILENT * level
    silent |= _level_around(_nearest(known.astype(np.float64), points)) < 0.5
    if silent.mean() > 0.5:
        return None
    bits[silent] = 0
    seed = zlib.crc32(np.packbits(bits).tobytes())
    bits[silent] = np.random.default_rng(seed).integers(0, 2, int(silent.sum()), np.uint8)
    return bits


def grid_points(samples: int, fs: float) -> int:
    """Return the number of points of the time grid in some samples at `fs` Hz."""
    return round(samples / fs * RATE)


def _band(signal: NDArray[np.floating], fs: float, points: int) -> NDArray[np.float64]:
    """Return the band of a signal on a grid of `points` points: filter and resampling in one step."""
    from scipy import fft  # slow to import

    spectrum = fft.rfft(signal.astype(np.float64))
    low, full, end, high = BAND
    frequencies = np.arange(len(spectrum)) * fs / len(signal)
    spectrum *= np.interp(frequencies, (low, full, end, high), (0.0, 1.0, 1.0, 0.0))
    kept = np.zeros(points // 2 + 1, np.complex128)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    band: NDArray[np.float64] = fft.irfft(kept, points) * (points / len(signal))
    return band


def _level_around(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the RMS of the `STRETCH` points around each point."""
    total = np.cumsum(np.concatenate([[0.0], values**2]))
    at = np.arange(len(values))
    first, last = np.maximum(at - STRETCH // 2, 0), np.minimum(at + STRETCH // 2, len(values))
    level: NDArray[np.float64] = np.sqrt(np.maximum(total[last] - total[first], 0) / (last - first))
    return level


def _nearest(values: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Return values on a grid of `points` points, each the nearest of the given ones."""
    return values[np.minimum(np.arange(points) * len(values) // points, len(values) - 1)]
