"""Normalisation of a signal ``[..., L, T]``: over the record (leads and time together) or lead by lead.

Normalisation over the record keeps the relation between leads. Normalising each lead discards it, as some published
inputs do. Only the leads that are given take part.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ROUNDING = 16  # rounding error of a mean, in spacings of numbers of the signal's size; never larger

Normalization = Literal[
    "none",
    "record-zscore",
    "lead-zscore",
    "record-minmax",
    "lead-minmax",
    "record-symmetric",
    "lead-symmetric",
    "lead-symmetric-low",
]


def normalize(
    signal: NDArray[np.floating], how: Normalization, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Normalise a signal ``[..., L, T]``; NaN must be filled before.

    ``zscore`` subtracts the mean and divides by the population standard deviation, ``minmax`` maps to [0, 1] and
    ``symmetric`` to [-1, 1]. A constant signal becomes 0; with ``symmetric-low`` it becomes -1. ``none`` returns the
    signal unchanged. The result has the signal's precision. It is written to `out` if that is given; `out` may be the
    signal itself.
    """
    if how == "none":
        if out is not None and out is not signal:
            out[...] = signal
        return signal if out is None else out
    over, rule, *low = how.split("-")
    axes = (-2, -1) if over == "record" else (-1,)
    shift = signal.mean(axes, keepdims=True) if rule == "zscore" else signal.min(axes, keepdims=True)
    shifted = np.subtract(signal, shift, out=out)
    if rule == "zscore":
        scale = np.sqrt(np.square(shifted).mean(axes, keepdims=True))
    else:
        scale = shifted.max(axes, keepdims=True)
    # The mean of a constant signal has a rounding error, which must not be scaled up to a signal.
    constant = scale <= ROUNDING * np.finfo(signal.dtype).eps * np.abs(shift)
    if rule == "symmetric":
        scale = scale / 2
        shifted -= np.where(constant, 0, scale)
    shifted /= np.where(constant, np.inf, scale)
    if low:
        shifted -= constant.astype(signal.dtype)
    return shifted
