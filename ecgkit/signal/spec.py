"""The signal contract: the input of a model, saved with every checkpoint and applied wherever the model is used.

The steps always have this order: fill gaps, resample, take the window, crop, filter, normalise. `window_of` does the
steps before the crop, which are the same for every crop, so a view caches them. `finish` does the steps after it. With
`filter_first` the filter runs on the window, before the crop, so the crop has no edge effects. If the crop is the whole
window the filter runs there too, since the result is the same and no batch has to wait for it.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.config import fingerprint
from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS, parse_lead
from ecgkit.signal.normalize import Normalization, normalize
from ecgkit.signal.published_filters import Filter, NotchBandMedian
from ecgkit.signal.repair import Repair, fill_gaps
from ecgkit.signal.resample import Resampling, resample


@dataclass(frozen=True)
class SignalSpec:
    """The input of a model.

    Args:
        fs: Sampling rate in Hz.
        seconds: Length of the input in s, which has ``round(fs * seconds)`` samples.
        leads: Canonical lead names, in order. A record that lacks some of them gives those that it has.
        window: Length in s of the part of a record that crops are taken from, counted from the start of the record.
        filter: The filter; None for no filter.
        filter_first: Whether to filter the window before cropping, instead of the crop.
        normalize: The normalisation of a crop, over the leads that are given.
        crop: Start of a training crop: ``random`` within the window, or ``start``.
        eval_starts: Starts of the evaluation crops in s; their features are averaged.
        repair: Way to fill missing samples.
        resample: Way to change the sampling rate.
        filter_at: Rate at which the filter runs: the ``model``'s, or that of the ``record``, before resampling.
        normalize_window: Whether to normalise the window instead of the crop; only for a normalisation of each lead.
    """

    fs: float
    seconds: float
    leads: tuple[str, ...] = STANDARD_LEADS
    window: float = 10.0
    filter: Filter | None = None
    filter_first: bool = False
    normalize: Normalization = "record-zscore"
    crop: Literal["random", "start"] = "random"
    eval_starts: tuple[float, ...] = (0.0,)
    repair: Repair = "interpolate"
    resample: Resampling = "fft"
    filter_at: Literal["model", "record"] = "model"
    normalize_window: bool = False

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ValueError(problem)

    def _problem(self) -> str:
        if not (self.fs > 0 and self.seconds > 0 and math.isfinite(self.fs * self.window)):
            return f"fs {self.fs:g} Hz, seconds {self.seconds:g} and window {self.window:g} must be positive and finite"
        if self.seconds > self.window:
            return f"seconds {self.seconds:g} must not be longer than window {self.window:g}"
        if self.samples < 1:
            return f"seconds {self.seconds:g} at fs {self.fs:g} Hz must make at least one sample"
        if self.normalize_window and self.normalize.startswith("record"):
            return f"normalize {self.normalize} needs all leads that are used: it cannot be done on the window"
        if not self.eval_starts or not all(0 <= s <= self.window - self.seconds + 1e-9 for s in self.eval_starts):
            return f"eval_starts {self.eval_starts} must lie between 0 and window - seconds"
        try:
            canonical = tuple(parse_lead(name) for name in self.leads)
        except Exception as error:
            return str(error)
        if canonical != self.leads or len(set(canonical)) < len(canonical) or not canonical:
            return f"leads {self.leads} must be different canonical names"
        return ""

    @property
    def samples(self) -> int:
        """Length of the model's input in samples."""
        return round(self.fs * self.seconds)

    @property
    def window_samples(self) -> int:
        """Length of the window in samples."""
        return round(self.fs * self.window)

    def samples_at(self, fs: float) -> int:
        """Return the length of the window in samples at another rate, before resampling."""
        return round(self.window * fs)

    @property
    def window_filter(self) -> Filter | None:
        """The filter, if it runs before the crop."""
        early = self.filter_first or self.filter_at == "record" or self.samples == self.window_samples
        return self.filter if early else None

    @property
    def crop_filter(self) -> Filter | None:
        """The filter, if it runs after the crop."""
        return None if self.window_filter else self.filter

    @property
    def crop_normalize(self) -> Normalization:
        """The normalisation after the crop."""
        return "none" if self.normalize_window else self.normalize

    @property
    def raw(self) -> "SignalSpec":
        """This contract without the filter and the normalisation of the window."""
        if self.window_filter is None and not self.normalize_window:
            return self
        filter = None if self.window_filter else self.filter
        scale: dict[str, Any] = {"normalize": "none", "normalize_window": False} if self.normalize_window else {}
        return replace(self, filter=filter, filter_at="model", **scale)

    def on_window(self, window: NDArray[np.floating]) -> NDArray[np.floating]:
        """Filter and normalise a window ``[..., T]`` at the contract's rate, as far as that is not done on the crop."""
        # Low band edges need double precision.
        out = self.window_filter(window.astype(np.float64), self.fs) if self.window_filter else window
        return normalize(out, self.normalize) if self.normalize_window else out

    @property
    def eval_offsets(self) -> tuple[int, ...]:
        """Starts of the evaluation crops in samples."""
        return tuple(round(self.fs * s) for s in self.eval_starts)

    def view_key(self) -> str:
        """Return the hash of everything that decides a view's content: the steps before the crop."""
        steps = [self.fs, self.window, self.leads, self.repair, self.resample, self.window_filter]
        late = [self.filter_at, self.normalize] if self.normalize_window or self.filter_at == "record" else []
        return fingerprint(*steps, *late)

    def __str__(self) -> str:
        band = "no filter"
        if self.filter is not None:
            edges = self.filter.band if isinstance(self.filter, NotchBandMedian) else self.filter
            band = f"{edges.low or 0:g}-{edges.high or self.fs / 2:g} Hz"
        count = f"{len(self.leads)} lead{'s' * (len(self.leads) != 1)}"
        shape = f"{count} x {self.samples} samples ({self.seconds:g} s at {self.fs:g} Hz)"
        return f"{shape}, {band}, {self.normalize}"


def window_of(signal: NDArray[np.floating], fs: float, spec: SignalSpec) -> tuple[NDArray[np.floating], int]:
    """Convert a recording to the contract's rate and window: the steps before the crop.

    Signals are resampled in their own precision and filtered in double precision. In single precision, in which every
    road to a model holds them, resampling is off by less than 0.01 microvolts.

    Args:
        signal: ``[..., T]`` at `fs` Hz, NaN for a missing sample.
        fs: Its sampling rate in Hz.
        spec: The signal contract.

    Returns:
        ``[..., spec.window_samples]``, with zeros after the end of a shorter recording, and the number of real samples.
    """
    if signal.shape[-1] == 0:
        raise SignalError("the recording has no samples")
    # Cut first, as published pipelines do, so a long recording costs no more than its window.
    kept = signal[..., : spec.samples_at(fs)]
    filled, steps = fill_gaps(kept, spec.repair), spec
    if spec.filter and spec.filter_at == "record":
        # Low band edges need double precision.
        filled = spec.filter(filled.astype(np.float64), fs).astype(signal.dtype)
        steps = replace(spec, filter=None)
    out = steps.on_window(resample(filled, fs, spec.fs, spec.resample)[..., : spec.window_samples])
    length = out.shape[-1]
    pad = [(0, 0)] * (out.ndim - 1) + [(0, spec.window_samples - length)]
    return (np.pad(out, pad) if length < spec.window_samples else out), length


def finish(
    crops: NDArray[np.floating],
    spec: SignalSpec,
    lengths: NDArray[np.integer] | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Filter and normalise crops: the steps after the crop.

    Args:
        crops: ``[B, L, T]`` at the contract's rate.
        spec: The signal contract.
        lengths: ``[B]``, number of real samples of each crop. The rest stays 0 and takes no part in filter and
            normalisation. None means that all samples are real.
        out: Array for the result, float32 ``[B, L, T]``; it may be `crops`. None makes a new array.

    Returns:
        ``[B, L, T]``.
    """
    T = crops.shape[-1]
    out = np.empty(crops.shape, np.float32) if out is None else out
    full = lengths is None or bool((lengths >= T).all())
    if full and spec.crop_filter:
        out[...] = _finish(crops, spec)
        return out
    # Record by record, so that all steps run while the record is in the processor's cache.
    for b, length in enumerate([T] * len(crops) if full or lengths is None else lengths.clip(0, T)):
        if length:
            _finish(crops[b, :, :length], spec, out[b, :, :length])
        out[b, :, length:] = 0.0
    return out


def _finish(
    crops: NDArray[np.floating], spec: SignalSpec, out: NDArray[np.float32] | None = None
) -> NDArray[np.floating]:
    if spec.crop_filter:
        signal = spec.crop_filter(crops.astype(np.float64), spec.fs)  # low band edges need double precision
        scaled = normalize(signal, spec.crop_normalize, signal)
    elif crops.dtype == np.float32:
        return normalize(crops, spec.crop_normalize, out)
    else:
        scaled = normalize(crops, spec.crop_normalize)
    if out is not None:
        out[...] = scaled
    return scaled


def apply(signal: NDArray[np.floating], fs: float, spec: SignalSpec, start: float = 0.0) -> NDArray[np.float32]:
    """Build a model's input from one recording.

    Args:
        signal: ``[L, T]`` in mV at `fs` Hz, with the rows that the model is to see.
        fs: Its sampling rate in Hz.
        spec: The signal contract.
        start: Start of the crop in s.

    Returns:
        ``[L, spec.samples]``.
    """
    window, length = window_of(signal, fs, spec)
    first = round(start * spec.fs)
    crop = window[None, :, first : first + spec.samples]
    return finish(crop, spec, np.array([length - first]))[0]
