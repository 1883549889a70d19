"""The compiled loop of `ecgkit.signal.microvolts`: whole microvolts of many records at once to mV."""

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled

MISSING = -32768
UNITS_PER_MV = np.float32(1000.0)


@compiled
def decode_leads(
    stored: NDArray[np.int16], rows: NDArray[np.int64], leads: NDArray[np.int64], signal: NDArray[np.float32]
) -> None:
    """Convert some leads of some records, as `ecgkit.signal.microvolts.decode` does.

    Args:
        stored: ``[R, L, T]``.
        rows: ``[n]``, the records.
        leads: ``[k]``, the leads.
        signal: ``[n, k, t]``, is filled with the first t samples, NaN for a missing one.
    """
    for n in range(len(rows)):
        for k in range(len(leads)):
            source, lead = stored[rows[n], leads[k]], signal[n, k]
            for t in range(len(lead)):
                count = source[t]
                lead[t] = np.float32(np.nan) if count == MISSING else np.float32(count) / UNITS_PER_MV
