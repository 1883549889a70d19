"""Filling of missing samples along time, within one lead. No other lead is used, and no record is dropped."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Repair = Literal["interpolate", "zero"]


def interpolate_gaps(signal: NDArray[np.floating]) -> NDArray[np.floating]:
    """Fill each gap by a straight line between its neighbours, or at an end by the nearest sample.

    Args:
        signal: ``[..., T]``, NaN for a missing sample.

    Returns:
        A filled copy (the signal itself if nothing is missing). Rows without any sample become 0.
    """
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal
    filled, time = signal.copy(), np.arange(signal.shape[-1])
    for row in np.argwhere(missing.any(-1)):
        lead, gap = filled[tuple(row)], missing[tuple(row)]  # a view: writing to it changes the copy
        lead[gap] = 0.0 if gap.all() else np.interp(time[gap], time[~gap], lead[~gap])
    return filled


def fill_gaps(signal: NDArray[np.floating], how: Repair) -> NDArray[np.floating]:
    """Fill missing samples: ``interpolate`` as in `interpolate_gaps`, or ``zero``.

    Args:
        signal: ``[..., T]``, NaN for a missing sample.
        how: The way to fill.
    """
    return interpolate_gaps(signal) if how == "interpolate" else np.nan_to_num(signal, nan=0.0)
