"""Records in memory under a signal contract: the same view that a store has, and made by the same function."""

import numpy as np

from ecgkit.arrays.records import Records
from ecgkit.errors import LeadError, SignalError
from ecgkit.signal.compact import CompactWindows, put_windows, record_type
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.views import SHORTEST, View

# Records that are converted together: few enough that the float64 arrays in between are neither paged in anew for each
# step nor too large for the cache.
PIECE = 4


def view_of(records: Records, spec: SignalSpec) -> View:
    """Return records under a contract, before the crop, as `ecgkit.store.views.open_view` does for a store.

    Raises:
        LeadError: The records have none of the contract's leads.
        SignalError: The records are shorter than `SHORTEST` seconds.
    """
    B = len(records)
    present = np.isin(spec.leads, records.leads)
    if not present.any():
        raise LeadError(f"leads {', '.join(records.leads)}", f"at least one of {', '.join(spec.leads)}")
    if records.samples < SHORTEST * records.fs:
        raise SignalError(f"records of {records.samples / records.fs:.3g} s", f"at least {SHORTEST:g} s")
    rows = [records.leads.index(lead) for lead in np.array(spec.leads)[present]]
    held, length = np.zeros(B, record_type(len(spec.leads), spec.window_samples)), 0
    places = np.flatnonzero(present).tolist()
    for start in range(0, B, PIECE):
        piece = np.arange(start, min(start + PIECE, B))
        window, length = window_of(records.signal[piece[0] : piece[-1] + 1, rows], records.fs, spec)
        put_windows(held, piece, places, window, length)
    lengths = np.full(B, length)
    return View(spec, CompactWindows(held, lengths), np.tile(present, (B, 1)), lengths)
