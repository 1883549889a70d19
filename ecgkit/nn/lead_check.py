"""For encoders that know the standard twelve leads and no more: a check, and a signal laid out on all twelve."""

import torch
from torch import Tensor

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS


def check_standard_leads(lead_ids: Tensor) -> None:
    """Refuse leads beyond the standard twelve, wherever their ids can be read without a price.

    Not on a GPU, which would have to be waited for, and not while a graph is made of the model (``torch.compile``,
    ``torch.export``), for then there are no values yet. A run's config names standard leads in any case.

    Args:
        lead_ids: ``[L]``, index of each lead in the standard order.

    Raises:
        SignalError: One lies beyond.
    """
    if torch.compiler.is_compiling() or lead_ids.device.type != "cpu":
        return
    if int(lead_ids.max()) >= len(STANDARD_LEADS):
        raise SignalError("a lead beyond the standard twelve", "some of " + " ".join(STANDARD_LEADS))


def on_standard_leads(signal: Tensor, lead_ids: Tensor) -> Tensor:
    """Return a signal on all twelve standard leads in their order, zeros where a lead is not given.

    An encoder that uses it says ``fill = "zeros"``.

    Args:
        signal: ``[B, L, T]``.
        lead_ids: ``[L]``, index of each lead in the standard order.

    Returns:
        ``[B, 12, T]``.

    Raises:
        SignalError: A lead lies beyond the twelve.
    """
    check_standard_leads(lead_ids)
    B, _, T = signal.shape
    return signal.new_zeros(B, len(STANDARD_LEADS), T).index_copy(1, lead_ids, signal)
