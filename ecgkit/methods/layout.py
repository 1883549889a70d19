"""Where the tokens of an encoder's attention layers come from: what turns attention among tokens into a map of the ECG.

An encoder states only this layout. `ecgkit.evaluation.analyses.attention` captures the weights and reduces them. M
tokens of one record, L leads, C classes.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class AttentionCall:
    """The tokens of one call of an attention layer, which may read G sequences side by side.

    Args:
        queries: int ``[G, n]``, number of each query among the M tokens.
        keys: int ``[G, m]``, number of each key; of self-attention, the queries.
    """

    queries: Tensor
    keys: Tensor

    @classmethod
    def among(cls, tokens: Tensor) -> "AttentionCall":
        """Return self-attention among tokens, int ``[n]`` or ``[G, n]``."""
        sequences = tokens if tokens.ndim == 2 else tokens[None]
        return cls(sequences, sequences)


@dataclass(frozen=True)
class TokenLayout:
    """The M tokens among which an encoder's attention layers look, for one record.

    A token holds samples of one lead or of all leads. It may hold several stretches, or none, as a summary does.

    Args:
        token: int ``[P]``, the token of each of P stretches.
        leads: int ``[P]``, index of the stretch's lead among the batch's leads; -1 for all leads.
        spans: int ``[P, 2]``, first sample of each stretch and sample after its last; stretches may overlap.
        pooled: ``[M]``, weight of each token in the record's representation; the weights sum to 1.
        per_lead: ``[L, M]``, the same for the representation of each lead; None if no token belongs to one lead.
        classes: ``[C, M]``, the same for each class, if classes read the record by themselves; otherwise None.
        calls: The calls of attention layers in their order; None if every call is self-attention of all tokens. Calls
            after the last of them have no part in the representation.
    """

    token: Tensor
    leads: Tensor
    spans: Tensor
    pooled: Tensor
    per_lead: Tensor | None = None
    classes: Tensor | None = None
    calls: tuple[AttentionCall, ...] | None = None

    @property
    def count(self) -> int:
        """M."""
        return len(self.pooled)

    def placed(self, places: Tensor, count: int) -> "TokenLayout":
        """Return the layout in a longer sequence, such as one with summaries or separators.

        Args:
            places: int ``[M]``, new number of each token.
            count: Number of tokens of the longer sequence.
        """

        def spread(weights: Tensor) -> Tensor:
            return weights.new_zeros(*weights.shape[:-1], count).index_copy(-1, places, weights)

        per_lead = None if self.per_lead is None else spread(self.per_lead)
        return replace(self, token=places[self.token], pooled=spread(self.pooled), per_lead=per_lead)


def patch_layout(
    leads: int,
    patches: int,
    step: int,
    *,
    by_lead: bool,
    real: Tensor | None = None,
    device: torch.device | None = None,
) -> TokenLayout:
    """Return the layout of patches of one length, lead by lead or of all leads together, with the mean as pooling.

    Args:
        leads: L.
        patches: Number n of patches per lead.
        step: Samples per patch.
        by_lead: Whether each token holds one lead: token = lead * n + patch. Otherwise token = patch.
        real: bool, one value per token, False for padding; None if all tokens are real.
        device: Device of the layout.
    """
    device = device if real is None else real.device
    start = step * torch.arange(patches, device=device)
    lead = torch.arange(leads, device=device).repeat_interleave(patches) if by_lead else torch.full_like(start, -1)
    start = start.repeat(leads) if by_lead else start
    return stretch_layout(lead, torch.stack([start, start + step], dim=1), leads, real)


def stretch_layout(lead: Tensor, spans: Tensor, leads: int, real: Tensor | None = None) -> TokenLayout:
    """Return the layout of tokens of one stretch each, with the mean as pooling.

    Args:
        lead: int ``[M]``, index of each token's lead; -1 for tokens of all leads.
        spans: int ``[M, 2]``, first sample and sample after the last.
        leads: L.
        real: bool ``[M]``, False for padding; None if all tokens are real.
    """
    there = torch.ones_like(lead, dtype=torch.bool) if real is None else real
    weight = there.double()
    own = F.one_hot(lead.clamp(min=0), leads).T.double() * (weight * (lead >= 0))
    kept = torch.nonzero(there)[:, 0]
    return TokenLayout(
        token=kept,
        leads=lead[kept],
        spans=spans[kept],
        pooled=weight / weight.sum().clamp(min=1),
        per_lead=own / own.sum(dim=1, keepdim=True).clamp(min=1) if bool((lead >= 0).any()) else None,
    )
