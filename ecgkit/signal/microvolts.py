"""Conversion of amplitudes to int16, as a store keeps them, and back.

Nearly all leads are kept in whole microvolts. A lead that these would clip (outside +-32.767 mV) or flatten (fewer than
50 uV from peak to peak, in finer steps) keeps a step and an offset of its own: ``amplitude = count * step + offset``.
One count marks a missing sample. If a source has no physical unit, a thousandth of its unit replaces the microvolt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

MISSING = np.int16(-32768)
UNITS_PER_MV = 1000.0
LIMIT = 32767
FEWEST_STEPS = 50  # a lead that spans fewer whole microvolts keeps a step of its own; below this no deflection is read
LARGEST = 1e300  # an amplitude beyond it counts as infinite, so that no difference of two amplitudes overflows


@dataclass(frozen=True)
class Scaling:
    """What the counts of a recording stand for, lead by lead.

    Args:
        steps: Microvolts per count.
        offsets: Microvolts that the count 0 stands for.
    """

    steps: tuple[float, ...]
    offsets: tuple[float, ...]

    @classmethod
    def plain(cls, leads: int) -> "Scaling":
        """Return the scaling of whole microvolts."""
        return cls((1.0,) * leads, (0.0,) * leads)

    def of(self, rows: Sequence[int]) -> "Scaling":
        """Return the scaling of some rows, in this order."""
        return Scaling(tuple(self.steps[row] for row in rows), tuple(self.offsets[row] for row in rows))

    def __add__(self, other: "Scaling") -> "Scaling":
        return Scaling((*self.steps, *other.steps), (*self.offsets, *other.offsets))

    @property
    def is_plain(self) -> bool:
        """Whether every count is a microvolt."""
        return self == Scaling.plain(len(self.steps))


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
    return _as_counts(scaled), clipped


def quantise(signal: NDArray[np.floating]) -> tuple[NDArray[np.int16], Scaling, int]:
    """Convert mV to counts. Each lead gets whole microvolts, or a step and an offset of its own where these lose it.

    A lead keeps whole microvolts if it lies within +-32.767 mV, and spans `FEWEST_STEPS` microvolts, is constant, or
    consists of whole microvolts. A finite sample is never off by more than half the step of its lead.

    Args:
        signal: ``[L, T]`` in mV; NaN for a missing sample.

    Returns:
        int16 ``[L, T]``; what the counts stand for; and the number of infinite samples, which are clipped to the
        largest or smallest finite sample of their lead.
    """
    stored = np.empty(signal.shape, np.int16)
    steps, offsets, clipped = [], [], 0
    for lead, row in enumerate(signal):
        with np.errstate(over="ignore"):
            microvolts = np.asarray(row, np.float64) * UNITS_PER_MV
        finite = np.abs(microvolts) <= LARGEST
        clipped += int(np.count_nonzero(~finite & ~np.isnan(microvolts)))
        low, high = (
            (float(np.min(microvolts[finite])), float(np.max(microvolts[finite]))) if finite.any() else (0.0,) * 2
        )
        step, offset = _step_and_offset(microvolts, low, high)
        stored[lead] = _as_counts(np.rint((np.clip(microvolts, low, high) - offset) / step))
        steps.append(step)
        offsets.append(offset)
    return stored, Scaling(tuple(steps), tuple(offsets)), clipped


def _step_and_offset(microvolts: NDArray[np.float64], low: float, high: float) -> tuple[float, float]:
    """Return the step and the offset of a lead between `low` and `high`, in microvolts."""
    span = high - low
    is_inside = max(-low, high) < LIMIT + 0.5
    if is_inside and (span >= FEWEST_STEPS or not span or _is_whole(microvolts)):
        return 1.0, 0.0
    middle = low + span / 2
    finest = 4 * float(np.spacing(max(abs(low), abs(high))))  # finer steps vanish when the offset is added
    if not is_inside and FEWEST_STEPS <= span < 2 * LIMIT - 1 and finest <= 1:
        return 1.0, float(np.rint(middle))
    step = max(span / (2 * LIMIT), finest)
    return (step, middle) if span and step >= np.finfo(np.float64).tiny else (1.0, low)


def _is_whole(microvolts: NDArray[np.float64]) -> bool:
    return bool(((np.rint(microvolts) == microvolts) | np.isnan(microvolts)).all())


def are_lost(counts: NDArray[np.integer], missing: NDArray[np.bool_], steps: NDArray[np.float64]) -> bool:
    """Return whether whole microvolts would clip or flatten a lead.

    Args:
        counts: ``[L, T]``, counts from the source's baseline.
        missing: ``[L, T]``, whether a sample is missing.
        steps: Microvolts per count, ``[L, 1]``.
    """
    there = np.ma.array(counts, mask=missing)
    low, high = (np.ma.filled(edge, 0) * np.abs(steps[:, 0]) for edge in (there.min(1), there.max(1)))
    span = high - low
    is_flattened = (np.abs(steps[:, 0]) < 1) & (span > 0) & (span < FEWEST_STEPS)
    return bool((is_flattened | (np.maximum(-low, high) >= LIMIT + 0.5)).any())


def keep_counts(
    counts: NDArray[np.integer], missing: NDArray[np.bool_], steps: Sequence[float]
) -> tuple[NDArray[np.int16], Scaling]:
    """Keep the counts of a source that whole microvolts would clip or flatten.

    Args:
        counts: int64 ``[L, T]``, the source's counts from its baseline.
        missing: ``[L, T]``, whether a sample is missing.
        steps: Microvolts per count of each lead.

    Returns:
        int16 ``[L, T]``, and what it stands for. It is exact for a lead whose counts span at most 65,534.
    """
    stored, scaling = np.empty(counts.shape, np.int16), Scaling((), ())
    for lead, (row, gone, step) in enumerate(zip(counts, missing, steps, strict=True)):
        there = row[~gone]
        low, high = (int(there.min()), int(there.max())) if len(there) else (0, 0)
        is_whole = float(step).is_integer() and max(-low, high) * step <= LIMIT
        middle = 0 if max(-low, high) <= LIMIT else (low + high) // 2
        if is_whole:
            stored[lead], own = row * int(step), Scaling.plain(1)
        elif max(high - middle, middle - low) <= LIMIT:
            stored[lead], own = row - middle, Scaling((float(step),), (middle * float(step),))
        else:
            stored[lead : lead + 1], own, _ = quantise(row[None] * (step / UNITS_PER_MV))
        stored[lead][gone] = MISSING
        scaling += own
    return stored, scaling


def decode(
    stored: NDArray[np.int16],
    dtype: DTypeLike = np.float32,
    scale: float = UNITS_PER_MV,
    scaling: Scaling | None = None,
) -> NDArray:
    """Convert counts to mV, with NaN for a missing sample.

    Args:
        stored: Samples of any shape; ``[L, T]`` with `scaling`.
        dtype: A floating-point type.
        scale: Microvolts per unit of the result.
        scaling: What the counts of each lead stand for; None for whole microvolts.
    """
    if scaling is None:
        signal = stored.astype(dtype)
        signal /= signal.dtype.type(scale)
    else:
        steps, offsets = np.array(scaling.steps)[:, None], np.array(scaling.offsets)[:, None]
        signal = ((stored * steps + offsets) / scale).astype(dtype)
    signal[stored == MISSING] = np.nan
    return signal


def _as_counts(rounded: NDArray[np.float64]) -> NDArray[np.int16]:
    counts = np.clip(rounded, -LIMIT, LIMIT)
    return np.where(np.isnan(rounded), float(MISSING), counts).astype(np.int16)
