"""How far the input of a model may be from its contract because a view holds counts."""

from ecgkit.nn.crops import filter_matrix
from ecgkit.signal.compact import CompactWindows
from ecgkit.store.views import View


def allowed(view: View, row: int, deviation: float) -> float:
    """Return the largest difference between a normalised crop and the contract applied in float64.

    A sample of a view is off by at most half a step. A filter is a sum over samples, so it enlarges that at most by the
    sum of the absolute values of its weights.

    Args:
        view: The view.
        row: The record.
        deviation: What the crop was divided by, in mV.
    """
    assert isinstance(view.signal, CompactWindows)
    weights = filter_matrix(view.spec.crop_filter, view.spec.fs, view.spec.samples)
    enlarged = 1.0 if weights is None else float(weights.double().abs().sum(0).max())
    half_a_step = float(view.signal.records["scale"][row, :, 0].max()) / 2
    return enlarged * half_a_step / deviation + 1e-5
