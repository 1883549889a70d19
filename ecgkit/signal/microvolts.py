"""Amplitudes as whole microvolts in int16, and back: what a store keeps, and what most sources hold already.

One mark stands for a missing sample. Where a source has no physical unit, a thousandth of its unit takes the place of
the microvolt.
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray

MISSING = np.int16(-32768)
UNITS_PER_MV = 1000.0
LIMIT = 32767


def encode(signal: NDArray[np.floating], scale: float = UNITS_PER_MV) -> tuple[NDArray[np.int16], int]:
    """Turn mV into whole microvolts.

    Args:
        signal: Any shape, in mV; NaN where a sample is missing.
        scale: Microvolts a unit of `signal`.

    Returns:
        The int16 samples, rounded to the nearest, `MISSING` for NaN; and how many samples lay outside the range
        of +-32.767 mV and were cut to it.
    """
    scaled = np.rint(np.asarray(signal, np.float64) * scale)
    clipped = int(np.count_nonzero(np.abs(scaled) > LIMIT))  # NaN compares false
    stored = np.clip(scaled, -LIMIT, LIMIT)
    return np.where(np.isnan(scaled), float(MISSING), stored).astype(np.int16), clipped


def decode(stored: NDArray[np.int16], dtype: DTypeLike = np.float32, scale: float = UNITS_PER_MV) -> NDArray:
    """Turn whole microvolts into mV, NaN where a sample is missing.

    Args:
        stored: Any shape.
        dtype: A floating type.
        scale: Microvolts a unit of the result.
    """
    signal = stored.astype(dtype)
    signal /= signal.dtype.type(scale)
    signal[stored == MISSING] = np.nan
    return signal
