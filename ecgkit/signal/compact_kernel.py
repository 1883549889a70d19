"""The compiled loops of `ecgkit.signal.compact`."""

import math

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled

UNITS_PER_MV = 1000.0  # a float64, so all sums here are too
LIMIT = 32767.0
BLOCK = 256
SINGLE = 2.0**-23  # largest relative distance of a whole number of microvolts from the float32 that stands for it
FINEST, COARSEST = 2.0**-126, 2.0**100  # steps whose products with counts are ordinary float32


@compiled
def round_leads(
    x: NDArray[np.floating],
    lows: NDArray[np.floating],
    highs: NDArray[np.floating],
    counts: NDArray[np.int16],
    scale: NDArray[np.float32],
) -> None:
    """Convert leads to counts.

    Args:
        x: ``[N, T]`` in mV.
        lows: ``[N]``, the smallest sample of each lead; NaN if one is NaN.
        highs: ``[N]``, the largest.
        counts: ``[N, T]``, is filled.
        scale: ``[N, 2]``, is filled with the step and the offset of each lead.
    """
    for n in range(len(x)):
        low, high, lead, out = float(lows[n]), float(highs[n]), x[n], counts[n]
        if not (low > -math.inf and high < math.inf):
            scale[n, 0] = scale[n, 1] = math.nan
            out[:] = 0
        elif (high - low) * UNITS_PER_MV <= 2 * LIMIT and _is_whole(lead):
            within = max(-low, high) * UNITS_PER_MV < LIMIT + 0.5
            middle = 0.0 if within else float(np.rint((low + high) / 2 * UNITS_PER_MV))
            scale[n, 0], scale[n, 1] = 1 / UNITS_PER_MV, middle / UNITS_PER_MV
            for t in range(len(lead)):
                out[t] = np.int16(np.rint(lead[t] * UNITS_PER_MV) - middle)
        else:
            scale[n, 0] = min(max(high / (2 * LIMIT) - low / (2 * LIMIT), FINEST), COARSEST)
            scale[n, 1] = min(max(low / 2 + high / 2, -COARSEST), COARSEST)
            _round(lead, float(scale[n, 0]), float(scale[n, 1]), out)


@compiled
def _is_whole(lead: NDArray[np.floating]) -> bool:
    """Return whether a lead consists of whole microvolts, block by block: a block is a loop without a way out."""
    for first in range(0, len(lead), BLOCK):
        others = 0
        for t in range(first, min(first + BLOCK, len(lead))):
            microvolts = lead[t] * UNITS_PER_MV
            others += np.abs(microvolts - np.rint(microvolts)) > SINGLE * np.abs(microvolts)
        if others:
            return False
    return True


@compiled
def _round(lead: NDArray[np.floating], step: float, offset: float, out: NDArray[np.int16]) -> None:
    """Round a lead to counts of a step. The product with 1 / step is a quotient up to 1e-16, and faster."""
    per_unit = 1 / step
    for t in range(len(lead)):
        count = np.rint((lead[t] - offset) * per_unit)
        count = LIMIT if count > LIMIT else count
        out[t] = np.int16(-LIMIT if count < -LIMIT else count)


@compiled
def read_crops(
    counts: NDArray[np.int16],
    scale: NDArray[np.float32],
    lengths: NDArray[np.int64],
    L: int,
    W: int,
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    leads: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Convert crops of counts to mV.

    Args:
        counts: ``[R, ...]``, the bytes of the records as int16.
        scale: ``[R, ...]``, the same bytes as float32.
        lengths: ``[R]``, number of real samples of each record.
        L: Number of leads of a record.
        W: Number of samples of a lead.
        rows: ``[B]``, the records.
        starts: ``[B]``, first sample of each crop.
        leads: ``[k]``, the leads.
        out: ``[B, k, T]``, is filled, with zeros after the real samples.
    """
    T = out.shape[2]
    for b in range(len(rows)):
        row, start = rows[b], starts[b]
        real = min(max(lengths[row] - start, 0), T)
        for k in range(len(leads)):
            step, offset = scale[row, 2 * leads[k]], scale[row, 2 * leads[k] + 1]
            first = 4 * L + leads[k] * W + start
            source, crop = counts[row, first : first + real], out[b, k]
            for t in range(real):
                crop[t] = np.float32(source[t]) * step + offset
            crop[real:] = np.float32(0.0)


@compiled
def take_crops(
    counts: NDArray[np.int16],
    L: int,
    W: int,
    rows: NDArray[np.int64],
    starts: NDArray[np.int64],
    leads: NDArray[np.int64],
    out: NDArray[np.int16],
) -> None:
    """Copy crops of counts; see `read_crops`. What follows the end of a window is left as it is.

    Args:
        counts: ``[R, ...]``, the bytes of the records as int16.
        L: Number of leads of a record.
        W: Number of samples of a lead.
        rows: ``[B]``, the records.
        starts: ``[B]``, first sample of each crop.
        leads: ``[k]``, the leads.
        out: ``[B, k, T]``, is filled.
    """
    for b in range(len(rows)):
        length = min(W - starts[b], out.shape[2])
        for k in range(len(leads)):
            first = 4 * L + leads[k] * W + starts[b]
            source, crop = counts[rows[b], first : first + length], out[b, k]
            for t in range(length):  # three times as fast as a slice, which numba checks for overlap
                crop[t] = source[t]
