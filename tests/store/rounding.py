"""How far the input of a model may be from its contract because a view holds counts."""

from ecgkit.signal.compact import CompactWindows
from ecgkit.store.views import View

FILTER = 4.0  # by so much a band-pass enlarges a difference, most at the ends, where it reflects the signal


def allowed(view: View, row: int, deviation: float) -> float:
    """Return the largest difference between a normalised crop and the contract applied in float64.

    Args:
        view: The view.
        row: The record.
        deviation: What the crop was divided by, in mV.
    """
    assert isinstance(view.signal, CompactWindows)
    half_a_step = float(view.signal.records["scale"][row, :, 0].max()) / 2
    return FILTER * half_a_step / deviation + 1e-5
