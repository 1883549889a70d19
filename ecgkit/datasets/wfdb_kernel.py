"""The compiled inner loop of `ecgkit.datasets.wfdb_amplitudes`: one pass over the counts of a record."""

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled


@compiled
def to_microvolts(
    counts: NDArray[np.int16],
    baselines: NDArray[np.int64],
    steps: NDArray[np.int64],
    missing: NDArray[np.int64],
    limit: int,
    mark: int,
    out: NDArray[np.int16],
) -> bool:
    """Convert 16-bit counts to whole microvolts.

    Args:
        counts: ``[L, T]``.
        baselines: ``[L]``, the count of 0 mV.
        steps: ``[L]``, microvolts per count.
        missing: ``[L]``, the count of a missing sample.
        limit: Largest amount of microvolts that `out` can hold.
        mark: Value of a missing sample in `out`.
        out: ``[L, T]``, the microvolts. They are only meant if every sample fits.

    Returns:
        Whether every sample fits.
    """
    fits = True
    for lead in range(counts.shape[0]):
        baseline, step, gone = baselines[lead], steps[lead], missing[lead]
        row, into = counts[lead], out[lead]
        beyond = 0
        for t in range(row.shape[0]):  # without a branch, so that it fills the processor's vectors
            count = np.int64(row[t])
            microvolts = (count - baseline) * step
            is_gone = count == gone
            beyond += (abs(microvolts) > limit) & (not is_gone)
            into[t] = mark if is_gone else microvolts
        fits = fits and beyond == 0
    return fits
