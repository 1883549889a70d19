"""Conversion of amplitudes to whole microvolts in int16, as a store keeps them, and back.

One value marks a missing sample. If a source has no physical unit, a thousandth of its unit replaces the microvolt.
"""

import numpy as np
from numpy.typing import DTypeLike, NDArray

MISSING = np.int16(-32768)
UNITS_PER_MV = 1000.0
LIMIT = 32767


def encode(signal: NDArray[np.floating], scale: float = UNITS_PER_MV) -> tuple[NDArray[np.int16], int]:
    """Convert mV to whole microvolts.

    Args:
        signal: Signal of any shape, in mV; NaN for a missing sample.
        scale: Microvolts per unit of `signal`.

    Returns:
        The int16 samples, rounded to the nearest, with `MISSING` for NaN; and the number of samples outside the range
        of +-32.767 mV, which are clipped to it.
    """
    scaled = np.rint(np.asarray(signal, np.float64) * scale)
    clipped = int(np.count_nonzero(np.abs(scaled) > LIMIT))  # comparisons with NaN are False
    stored = np.clip(scaled, -LIMIT, LIMIT)
    return np.where(np.isnan(scaled), float(MISSING), stored).astype(np.int16), clipped


def decode(stored: NDArray[np.int16], dtype: DTypeLike = np.float32, scale: float = UNITS_PER_MV) -> NDArray:
    """Convert whole microvolts to mV, with NaN for a missing sample.

    Args:
        stored: Samples of any shape.
        dtype: A floating-point type.
        scale: Microvolts per unit of the result.
    """
    signal = stored.astype(dtype)
    signal /= signal.dtype.type(scale)
    signal[stored == MISSING] = np.nan
    return signal
