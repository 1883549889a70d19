"""For encoders that only know the standard twelve leads: a check, and a way to fill in all twelve."""

import torch
from torch import Tensor

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS


def check_standard_leads(lead_ids: Tensor) -> None:
    """Refuse leads beyond the standard twelve, where their ids can be read without a cost.

    The check is skipped on a GPU, which would have to be waited for, and while a graph of the model is made
    (``torch.compile``, ``torch.export``), since there are no values yet. A run's config names standard leads in any
    case.

    Args:
        lead_ids: ``[L]``, index of each lead in the standard order.

    Raises:
        SignalError: A lead is not one of the standard twelve.
    """
    if torch.compiler.is_compiling() or lead_ids.device.type != "cpu":
        return
    if int(lead_ids.max()) >= len(STANDARD_LEADS):
        raise SignalError("a lead is not one of the standard twelve", "some of " + " ".join(STANDARD_LEADS))


def on_standard_leads(signal: Tensor, lead_ids: Tensor) -> Tensor:
    """Return a signal with all twelve standard leads in their order, and zeros for leads that are not given.

    An encoder that uses this function sets ``fill = "zeros"``.

    Args:
        signal: ``[B, L, T]``.
        lead_ids: ``[L]``, index of each lead in the standard order.

    Returns:
        ``[B, 12, T]``.

    Raises:
        SignalError: A lead is not one of the standard twelve.
    """
    check_standard_leads(lead_ids)
    B, _, T = signal.shape
    return signal.new_zeros(B, len(STANDARD_LEADS), T).index_copy(1, lead_ids, signal)
