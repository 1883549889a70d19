"""Scaling of a signal ``[..., L, T]``: over the record (leads and time together) or lead by lead.

Scaling over the record keeps the relation of the leads to each other; scaling each lead throws it away, as some
published inputs do. Only the leads that are given take part.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

ROUNDING = 16  # spacings of numbers of a signal's size, more than its mean can be off

Normalization = Literal[
    "none", "record-zscore", "lead-zscore", "record-minmax", "lead-minmax", "record-symmetric", "lead-symmetric"
]


def normalize(
    signal: NDArray[np.floating], how: Normalization, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Scale a signal ``[..., L, T]``; NaN must have been filled.

    ``zscore`` subtracts the mean and divides by the population deviation, ``minmax`` maps to [0, 1] and
    ``symmetric`` to [-1, 1]; a constant signal becomes 0. ``none`` returns the signal as it is. The result has the
    signal's precision, and is put into `out` where that is given; it may be the signal itself.
    """
    if how == "none":
        if out is not None and out is not signal:
            out[...] = signal
        return signal if out is None else out
    over, rule = how.split("-")
    axes = (-2, -1) if over == "record" else (-1,)
    shift = signal.mean(axes, keepdims=True) if rule == "zscore" else signal.min(axes, keepdims=True)
    shifted = np.subtract(signal, shift, out=out)
    if rule == "zscore":
        scale = np.sqrt(np.square(shifted).mean(axes, keepdims=True))
    else:
        scale = shifted.max(axes, keepdims=True)
    # The mean of a constant is rounded, and what is left must not be blown up to a signal.
    constant = scale <= ROUNDING * np.finfo(signal.dtype).eps * np.abs(shift)
    if rule == "symmetric":
        scale = scale / 2
        shifted -= np.where(constant, 0, scale)
    shifted /= np.where(constant, np.inf, scale)
    return shifted
