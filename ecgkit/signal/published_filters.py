"""Filters of published encoders that are no single Butterworth design. All run forwards and backwards, lead by lead."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import SignalError
from ecgkit.signal.filters import Butterworth, there_and_back


@dataclass(frozen=True)
class FirBand:
    """A windowed-sinc band-pass (Hamming window) of a duration in s, so its number of taps depends on the rate.

    Args:
        low: Lower edge of the pass band in Hz. Below about ``1 / duration`` it does nothing, as in released code.
        high: Upper edge of the pass band in Hz.
        duration: Length of the filter in s; the number of taps is made odd.
    """

    low: float
    high: float
    duration: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < math.inf or not 0 < self.duration < math.inf:
            raise ValueError(f"band {self.low:g} to {self.high:g} Hz over {self.duration:g} s must be ascending")

    def __call__(self, signal: NDArray[np.floating], fs: float) -> NDArray[np.floating]:
        """Filter the last axis of a signal ``[..., T]`` sampled at `fs` Hz; NaN must be filled before.

        Raises:
            SignalError: The upper edge is not below half of `fs`, or the signal is too short to be padded.
        """
        import scipy.signal  # slow to import

        if self.high >= fs / 2:
            raise SignalError(f"filter edge {self.high:g} Hz at fs {fs:g} Hz", f"an edge below {fs / 2:g} Hz")
        taps = int(self.duration * fs)
        taps += 1 - taps % 2
        b = scipy.signal.firwin(taps, (self.low, self.high), pass_zero=False, fs=fs)
        return there_and_back(b, np.ones(1), signal, fs)


@dataclass(frozen=True)
class NotchBandMedian:
    """A notch at the mains frequency, a Butterworth band-pass, then minus a running median, all at one rate.

    Args:
        notch: Mains frequency in Hz.
        quality: Quality of the notch: its frequency over its width.
        band: The band-pass.
        median: Length of the running median in s; samples beyond the ends count as 0.
    """

    notch: float
    quality: float
    band: Butterworth
    median: float

    def __post_init__(self) -> None:
        for name in ("notch", "quality", "median"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name):g} must be above 0 and finite")

    def __call__(self, signal: NDArray[np.floating], fs: float) -> NDArray[np.floating]:
        """Filter the last axis of a signal ``[..., T]`` sampled at `fs` Hz; NaN must be filled before.

        Raises:
            SignalError: An edge is not below half of `fs`, or the signal is too short to be padded.
        """
        import scipy.ndimage
        import scipy.signal

        if self.notch >= fs / 2:
            raise SignalError(f"notch {self.notch:g} Hz at fs {fs:g} Hz", f"a frequency below {fs / 2:g} Hz")
        b, a = scipy.signal.iirnotch(self.notch, self.quality, fs)
        out = self.band(there_and_back(b, a, signal, fs), fs)
        length = round(self.median * fs)
        length += 1 - length % 2
        window = (1,) * (out.ndim - 1) + (length,)
        return np.asarray(out - scipy.ndimage.median_filter(out, window, mode="constant", cval=0.0))


Filter = Butterworth | FirBand | NotchBandMedian
