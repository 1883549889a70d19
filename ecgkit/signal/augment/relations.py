"""Adding something to all leads so that the limb leads still follow from I and II.

Einthoven: III = II - I. Goldberger: aVR = -(I + II)/2, aVL = I - II/2, aVF = II - I/2.
"""

import numpy as np

from ecgkit.leads import DERIVED
from ecgkit.signal.augment.base import Layout, Signal

# Of the largest sample: what rounding to single precision leaves of a relation.
ROUNDING = 1e-6


def add_related(x: Signal, change: Signal, layout: Layout) -> Signal:
    """Return ``x + change``, with III, aVR, aVL and aVF computed from the new I and II.

    A lead is computed where it and both I and II are present; otherwise it gets its own change. A signal whose leads
    were shifted or scaled one by one obeys no relation; its derived leads get what the relation makes of the changes
    of I and II.

    Args:
        x: ``[L, T]``.
        change: What is added, broadcast to ``[L, T]``.
        layout: The form of `x`.
    """
    change = np.broadcast_to(change, x.shape)
    y = x + change
    if not {"I", "II"} <= set(layout.leads):
        return y
    one, two = layout.rows(("I", "II"))
    limit = ROUNDING * np.abs(x).max(initial=0.0)
    for name in (name for name in DERIVED if name in layout.leads):
        (a, b), row = DERIVED[name], layout.leads.index(name)
        related = np.abs(x[row] - (a * x[one] + b * x[two])).max(initial=0.0) <= limit
        base = 0.0 if related else x[row]
        source = y if related else change
        y[row] = base + a * source[one] + b * source[two]
    return y
