"""Change of sampling rate.

``fft`` is band-limited interpolation over the whole signal, what most published pipelines use
(`scipy.signal.resample`); ``poly`` is a polyphase filter (`scipy.signal.resample_poly`), local in time; ``linear``
draws straight lines between samples, with the first and the last sample kept in their places at the ends.
"""

from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import SignalError
from ecgkit.signal.repair import interpolate_gaps

Resampling = Literal["fft", "poly", "linear"]


def resampled_length(samples: int, fs: float, fs_out: float) -> int:
    """Return the number of samples of a signal after resampling, rounded to the nearest."""
    return int(np.floor(samples * fs_out / fs + 0.5))


def resample(
    signal: NDArray[np.floating], fs: float, fs_out: float, method: Resampling = "fft"
) -> NDArray[np.floating]:
    """Resample the last axis from `fs` to `fs_out` Hz.

    Args:
        signal: ``[..., T]`` without NaN.
        fs: Present sampling rate in Hz.
        fs_out: New sampling rate in Hz.
        method: ``fft``, ``poly`` or ``linear``.

    Returns:
        ``[..., round(T * fs_out / fs)]``; the signal itself if the rates are equal.

    Raises:
        SignalError: A rate is not positive.
    """
    if fs <= 0 or fs_out <= 0:
        raise SignalError(f"sampling rates {fs:g} and {fs_out:g} Hz", "positive rates")
    if fs == fs_out:
        return signal
    if method == "linear":
        return _linear(signal, int(signal.shape[-1] * fs_out / fs))
    import scipy.signal  # slow to import, and only needed here in an ingest

    if method == "fft" and signal.dtype == np.float32:
        return _by_fft(signal, resampled_length(signal.shape[-1], fs, fs_out))
    if method == "fft":
        return np.asarray(scipy.signal.resample(signal, resampled_length(signal.shape[-1], fs, fs_out), axis=-1))
    ratio = Fraction(fs_out / fs).limit_denominator(10_000)
    out = scipy.signal.resample_poly(signal, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return np.asarray(out[..., : resampled_length(signal.shape[-1], fs, fs_out)])


def _by_fft(signal: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return what `scipy.signal.resample` does, up to rounding, without its copies."""
    import scipy.fft

    T = signal.shape[-1]
    fewer = min(T, length)
    spectrum = scipy.fft.rfft(signal, axis=-1, norm="forward")[..., : fewer // 2 + 1]
    if fewer % 2 == 0 and length != T:  # the highest frequency has no partner
        spectrum[..., fewer // 2] *= 2 if length < T else 0.5
    return np.asarray(scipy.fft.irfft(spectrum, length, axis=-1, norm="forward", overwrite_x=True))


def _linear(signal: NDArray[np.floating], length: int) -> NDArray[np.floating]:
    T = signal.shape[-1]
    place = np.arange(length) * ((T - 1) / max(length - 1, 1))
    left = np.minimum(place.astype(int), max(T - 2, 0))
    share = place - left
    return signal[..., left] * (1 - share) + signal[..., np.minimum(left + 1, T - 1)] * share


def resample_with_gaps(signal: NDArray[np.floating], fs: float, fs_out: float) -> NDArray[np.floating]:
    """Resample a signal with missing samples: fill them, resample, and mark them as missing again.

    Args:
        signal: ``[..., T]``, NaN for a missing sample.
        fs: Present sampling rate in Hz.
        fs_out: New sampling rate in Hz.

    Returns:
        ``[..., T_out]`` with NaN at every sample whose nearest original sample is missing.
    """
    missing = ~np.isfinite(signal)
    out = resample(interpolate_gaps(signal), fs, fs_out)
    if missing.any() and fs != fs_out:
        nearest = np.minimum((np.arange(out.shape[-1]) * fs / fs_out).round().astype(int), signal.shape[-1] - 1)
        out[missing[..., nearest]] = np.nan
    elif missing.any():
        out = np.where(missing, np.nan, out)
    return out
