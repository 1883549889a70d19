"""Zero-phase Butterworth filters, in the two numerical forms that published pipelines use.

Second-order sections (``sos``, `scipy.signal.sosfiltfilt`) are numerically stable at any order. The transfer-function
form (``ba``, `scipy.signal.filtfilt`) is what some released code computes; its result differs at low band edges.
Filtering forwards and backwards doubles the order and leaves no delay.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import SignalError

LANES = 32  # leads that are filtered side by side: their states fit into the processor's first cache


@dataclass(frozen=True)
class Butterworth:
    """A Butterworth filter, applied forwards and backwards.

    Args:
        low: Lower edge of the pass band in Hz; None keeps low frequencies.
        high: Upper edge of the pass band in Hz; None keeps high frequencies.
        order: Order of each design; a band-pass design has twice as many poles.
        form: ``sos`` or ``ba``.
        cascade: With both edges, use a high-pass and then a low-pass of this order instead of one band-pass.
    """

    low: float | None = 0.67
    high: float | None = 40.0
    order: int = 5
    form: Literal["sos", "ba"] = "sos"
    cascade: bool = False

    def __post_init__(self) -> None:
        if self.order < 1:
            raise ValueError(f"filter order {self.order} must be at least 1")
        for edge in (self.low, self.high):
            if edge is not None and not 0 < edge < math.inf:
                raise ValueError(f"filter edge {edge:g} Hz must be above 0 and finite")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"filter edge low {self.low:g} Hz must be below high {self.high:g} Hz")

    def __call__(self, signal: NDArray[np.floating], fs: float) -> NDArray[np.floating]:
        """Filter the last axis of a signal ``[..., T]`` sampled at `fs` Hz; NaN must be filled before.

        Raises:
            SignalError: An edge is not below half of `fs`, or the signal is too short to be padded.
        """
        out = signal
        for kind, edges in self._designs(fs):
            out = self._apply(out, kind, edges, fs)
        return out

    def _designs(self, fs: float) -> list[tuple[str, tuple[float, ...]]]:
        for edge in (self.low, self.high):
            if edge is not None and edge >= fs / 2:
                raise SignalError(f"filter edge {edge:g} Hz at fs {fs:g} Hz", f"an edge between 0 and {fs / 2:g} Hz")
        if self.low is not None and self.high is not None and not self.cascade:
            return [("bandpass", (self.low, self.high))]
        high_pass = [] if self.low is None else [("highpass", (self.low,))]
        low_pass = [] if self.high is None else [("lowpass", (self.high,))]
        return [*high_pass, *low_pass]

    def _apply(
        self, signal: NDArray[np.floating], kind: str, edges: tuple[float, ...], fs: float
    ) -> NDArray[np.floating]:
        if self.form == "ba":
            import scipy.signal  # slow to import

            b, a = scipy.signal.butter(self.order, np.squeeze(edges), kind, fs=fs, output="ba")
            return there_and_back(b, a, signal, fs)
        try:
            return _there_and_back(*_sections(self.order, edges, kind, fs), signal)
        except ValueError:
            raise _too_short(signal, fs) from None


def there_and_back(
    b: NDArray[np.floating], a: NDArray[np.floating], signal: NDArray[np.floating], fs: float
) -> NDArray[np.floating]:
    """Filter ``[..., T]`` forwards and backwards by a transfer function b / a, with `scipy.signal.filtfilt`.

    Raises:
        SignalError: The signal is too short to be padded.
    """
    import scipy.signal  # slow to import

    try:
        return np.asarray(scipy.signal.filtfilt(b, a, signal, axis=-1))
    except ValueError:
        raise _too_short(signal, fs) from None


def _too_short(signal: NDArray[np.floating], fs: float) -> SignalError:
    samples = signal.shape[-1]
    return SignalError(f"signal of {samples} samples ({samples / fs:g} s)", "enough samples for the filter")


@cache
def _sections(
    order: int, edges: tuple[float, ...], kind: str, fs: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a design's sections ``[S, 6]`` and their states after a constant input ``[S, 2]``."""
    import scipy.signal  # slow to import

    sections = scipy.signal.butter(order, np.squeeze(edges), kind, fs=fs, output="sos")
    return sections, scipy.signal.sosfilt_zi(sections)


def _there_and_back(
    sections: NDArray[np.float64], steady: NDArray[np.float64], signal: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the result of `scipy.signal.sosfiltfilt` in a third of its time; see `ecgkit.signal.filter_kernel`.

    Raises:
        ValueError: The signal is too short to be padded.
    """
    from ecgkit.signal import filter_kernel  # numba is slow to import

    T = signal.shape[-1]
    edge = 3 * (2 * len(sections) + 1 - min(int((sections[:, 2] == 0).sum()), int((sections[:, 5] == 0).sum())))
    if edge >= T:
        raise ValueError(f"{T} samples, {edge} are reflected at each end")
    leads = signal.reshape(-1, T)
    out = np.empty(leads.shape)
    for first in range(0, len(leads), LANES):
        lanes = leads[first : first + LANES].T
        x = np.empty((T + 2 * edge, lanes.shape[1]))
        x[edge : T + edge] = lanes
        x[:edge] = 2 * lanes[0] - lanes[edge:0:-1]  # reflected in the end points, as scipy does
        x[T + edge :] = 2 * lanes[-1] - lanes[-2 : -edge - 2 : -1]
        filter_kernel.there_and_back(sections, steady, x)
        out[first : first + LANES] = x[edge : T + edge].T
    return out.reshape(signal.shape)
