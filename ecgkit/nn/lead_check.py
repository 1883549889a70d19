"""For encoders that only know certain leads: a check, and ways to give every lead its row."""

import torch
from torch import Tensor, nn

from ecgkit.errors import SignalError
from ecgkit.leads import STANDARD_LEADS, lead_ids
from ecgkit.signal.spec import SignalSpec


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


class LeadRows(nn.Module):
    """Puts the given leads into the rows of a contract, and one value into the others: ``[B, L, T] -> [B, rows, T]``.

    Args:
        signal: The contract, whose leads are of the standard twelve.
        fill: Value of the rows of leads that are not given.
    """

    def __init__(self, signal: SignalSpec, fill: float = 0.0) -> None:
        super().__init__()
        self.leads, self.fill = signal.leads, fill
        table = torch.full((len(STANDARD_LEADS),), -1)
        for row, lead in enumerate(lead_ids(signal.leads)):
            if lead >= len(STANDARD_LEADS):
                raise ValueError(f"leads {signal.leads} must be of the standard twelve")
            table[lead] = row
        self.register_buffer("row_of", table, persistent=False)

    row_of: Tensor

    def forward(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Put the leads into their rows.

        Raises:
            SignalError: A lead has no row.
        """
        known = lead_ids.clamp_max(len(self.row_of) - 1)
        rows = self.row_of[known]
        # While a graph is made of the model (torch.compile, torch.export) there are no values to look at.
        compiling = torch.compiler.is_compiling()
        if not compiling and (int(lead_ids.max()) >= len(self.row_of) or int(rows.min()) < 0):
            raise SignalError("a lead that the model has no row for", "some of " + " ".join(self.leads))
        placed = signal.new_full((signal.shape[0], len(self.leads), signal.shape[-1]), self.fill)
        placed[:, rows] = signal
        return placed
