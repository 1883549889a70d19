"""Scaling of a signal ``[..., L, T]``: over the record (leads and time together) or lead by lead.

Scaling over the record keeps the relation of the leads to each other; scaling each lead throws it away, as some
published inputs do. Only the leads that are given take part.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Normalization = Literal[
    "none", "record-zscore", "lead-zscore", "record-minmax", "lead-minmax", "record-symmetric", "lead-symmetric"
]  # fmt: skip


def normalize(signal: NDArray[np.floating], how: Normalization) -> NDArray[np.floating]:
    """Scale a signal ``[..., L, T]``; NaN must have been filled.

    ``zscore`` subtracts the mean and divides by the population deviation, ``minmax`` maps to [0, 1] and
    ``symmetric`` to [-1, 1]; a constant signal becomes 0. ``none`` returns the signal as it is.
    """
    if how == "none":
        return signal
    over, rule = how.split("-")
    axes = (-2, -1) if over == "record" else (-1,)
    if rule == "zscore":
        shift, scale = signal.mean(axes, keepdims=True), signal.std(axes, keepdims=True)
    else:
        shift = signal.min(axes, keepdims=True)
        scale = signal.max(axes, keepdims=True) - shift
        if rule == "symmetric":
            shift, scale = shift + scale / 2, scale / 2
    return np.divide(signal - shift, scale, out=np.zeros_like(signal), where=scale > 0)
