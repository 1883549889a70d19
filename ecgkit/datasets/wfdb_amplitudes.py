"""Convert the counts of a WFDB segment to amplitudes, exactly where that is possible."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.wfdb_formats import MISSING_COUNTS, Counts
from ecgkit.datasets.wfdb_header import Channel, Scheme
from ecgkit.recording import Amplitudes
from ecgkit.signal.microvolts import LIMIT, MISSING, UNITS_PER_MV, Scaling, are_lost, keep_counts


@dataclass(frozen=True)
class _Scale:
    """Scale from counts to amplitudes, each ``[L, 1]``; `steps` are whole microvolts per count, or None."""

    gains: NDArray[np.float64]
    baselines: NDArray[np.int64]
    missing: NDArray[np.int64]
    millivolts: NDArray[np.float64]
    steps: NDArray[np.int64] | None

    @property
    def is_identity(self) -> bool:
        """Whether 16-bit counts already are microvolts, with missing samples marked as a store marks them."""
        exact = self.steps is not None and bool((self.steps == 1).all())
        return exact and not self.baselines.any() and bool((self.missing == MISSING).all())


@lru_cache(maxsize=4096)
def _scale_of(scheme: Scheme) -> tuple[_Scale, bool]:
    channels: list[Channel] = [scheme.channels[row] for row in scheme.rows.index]
    microvolts = scheme.rows.microvolts
    # Computed from the gain as written: 0.2 counts per microvolt has no exact binary number, but 1/5 is exact.
    steps = [unit / Fraction(repr(channel.gain)) for unit, channel in zip(microvolts, channels, strict=True)]

    def column(values: list, dtype: type) -> NDArray:
        return np.array(values, dtype)[:, None]

    scale = _Scale(
        column([channel.gain for channel in channels], np.float64),
        column([channel.baseline for channel in channels], np.int64),
        column([MISSING_COUNTS[channel.format] for channel in channels], np.int64),
        scheme.rows.millivolts,
        column([int(step) for step in steps], np.int64) if all(step.denominator == 1 for step in steps) else None,
    )
    return scale, scale.is_identity


def to_amplitudes(counts: Counts, scheme: Scheme) -> tuple[Amplitudes, Scaling | None]:
    """Convert digital samples of the ECG leads to whole microvolts where that is exact, else to mV.

    Counts that whole microvolts would clip or flatten are kept as they are.

    Args:
        counts: Samples ``[L, T]``, as `read_counts` returns them.
        scheme: The record's rows.

    Returns:
        ``[L, T]`` int16 in microvolts, or in counts, or float64 in mV; and what counts stand for, None otherwise. For
        unit ``NU``: thousandths of the unit, or the unit.
    """
    scale, is_identity = _scale_of(scheme)
    if is_identity and counts.dtype == np.int16:
        return cast(NDArray[np.int16], counts), None
    if (
        scale.steps is not None
        and counts.dtype == np.int16
        and (exact := _microvolts(cast(NDArray[np.int16], counts), scale)) is not None
    ):
        return exact, None
    missing = counts == scale.missing
    from_zero = counts - scale.baselines
    if scale.steps is not None:
        microvolts = from_zero * scale.steps
        if ((np.abs(microvolts) <= LIMIT) | missing).all():
            microvolts[missing] = MISSING
            return microvolts.astype(np.int16), None
    steps = scale.millivolts * UNITS_PER_MV / scale.gains
    if are_lost(from_zero, missing, steps):
        signs = np.sign(steps).astype(np.int64)
        return keep_counts(from_zero * signs, missing, np.abs(steps)[:, 0].tolist())
    signal = from_zero / scale.gains * scale.millivolts
    signal[missing] = np.nan
    return signal, None


def _microvolts(counts: NDArray[np.int16], scale: _Scale) -> NDArray[np.int16] | None:
    """Return 16-bit counts as whole microvolts in one pass; None if they do not fit."""
    from ecgkit.datasets.wfdb_kernel import to_microvolts  # numba is slow to import

    steps, out = cast(NDArray[np.int64], scale.steps), np.empty(counts.shape, np.int16)
    columns = (scale.baselines[:, 0], steps[:, 0], scale.missing[:, 0])
    return out if to_microvolts(counts, *columns, LIMIT, int(MISSING), out) else None
