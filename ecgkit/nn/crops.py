"""The steps of the signal contract after the crop, in torch: filter and normalisation of crops ``[B, L, T]``.

`ecgkit.signal.spec.finish` does the same on the CPU, and is faster there.

A zero-phase filter of a fixed length is a linear map, also at its edges, so here it is a matrix ``[T, T]``.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ecgkit.errors import RunError
from ecgkit.signal.normalize import ROUNDING, Normalization
from ecgkit.signal.published_filters import Filter, NotchBandMedian
from ecgkit.signal.spec import SignalSpec


class Scaling(nn.Module):
    """The normalisation of `ecgkit.signal.normalize` in torch, for signals ``[B, L, T]``.

    Args:
        how: The normalisation.
    """

    def __init__(self, how: Normalization) -> None:
        super().__init__()
        self.how = how

    def forward(self, signal: Tensor) -> Tensor:
        """Return the signal normalised over each record, or over each lead."""
        if self.how == "none":
            return signal
        over, rule, *low = self.how.split("-")
        axes = (-2, -1) if over == "record" else (-1,)
        shift = signal.mean(axes, keepdim=True) if rule == "zscore" else signal.amin(axes, keepdim=True)
        shifted = signal - shift
        if rule == "zscore":
            scale = shifted.square().mean(axes, keepdim=True).sqrt()
        else:
            scale = shifted.amax(axes, keepdim=True)
        constant = scale <= ROUNDING * torch.finfo(signal.dtype).eps * shift.abs()
        if rule == "symmetric":
            scale = scale / 2
            shifted = shifted - torch.where(constant, torch.zeros_like(scale), scale)
        flat = torch.full_like(shifted, -1.0 if low else 0.0)
        return torch.where(constant, flat, shifted / torch.where(constant, torch.ones_like(scale), scale))


def filter_matrix(design: Filter | None, fs: float, samples: int) -> Tensor | None:
    """Return the matrix ``[T, T]`` with ``filtered = signal @ matrix`` for signals of T samples; None for no filter.

    Raises:
        RunError: The filter holds a median, which is no linear map.
    """
    if design is None:
        return None
    if isinstance(design, NotchBandMedian):
        raise RunError("the filter of this encoder holds a median, which no ONNX model of ecgkit computes")
    return torch.from_numpy(np.asarray(design(np.eye(samples), fs), np.float32))


def is_linear(spec: SignalSpec) -> bool:
    """Return whether the filter of a contract's crops, if it has one, is a linear map."""
    return not isinstance(spec.crop_filter, NotchBandMedian)


class CropSteps(nn.Module):
    """Turns counts into a model's input, on any device.

    Args:
        spec: The signal contract; see `is_linear`.
    """

    matrix: Tensor | None
    of_ones: Tensor | None

    def __init__(self, spec: SignalSpec) -> None:
        super().__init__()
        self.scaling = Scaling(spec.crop_normalize)
        matrix = filter_matrix(spec.crop_filter, spec.fs, spec.samples)
        self.register_buffer("matrix", matrix, persistent=False)
        self.register_buffer("of_ones", None if matrix is None else matrix.double().sum(0).float(), persistent=False)

    def forward(self, counts: Tensor, scale: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return float32 ``[B, L, T]``.

        Args:
            counts: int16 ``[B, L, T]``.
            scale: float32 ``[B, L, 2]``, step and offset of each lead; see `ecgkit.signal.compact`.
            lengths: ``[B]``, number of real samples of each crop; None for all. A contract that filters crops takes
                whole crops only.
        """
        signal = counts.float() * scale[..., :1] + scale[..., 1:]
        if self.matrix is not None and self.of_ones is not None:
            # A large offset would cost digits in the sums of the product: the first sample is taken out meanwhile.
            first = signal[..., :1]
            signal = (signal - first) @ self.matrix + first * self.of_ones
        if lengths is None or bool((lengths >= counts.shape[-1]).all()):
            scaled: Tensor = self.scaling(signal)
            return scaled
        out = torch.zeros_like(signal)
        for b, length in enumerate(lengths.clamp(0, counts.shape[-1]).tolist()):
            if length:
                out[b, :, :length] = self.scaling(signal[b : b + 1, :, :length])[0]
        return out
