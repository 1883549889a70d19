"""What comes back from a model: features, losses, and what can be shown of both. Shapes as in `ecgkit.methods`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """What an encoder says of a batch.

    Args:
        pooled: ``[B, D]``, the representation of a record.
        per_lead: ``[B, L, D]``, of each lead.
        tokens: ``[B, N, D]``, of each token, after the last norm.
        layers: ``[B, depth, D]``, the pooled output of every block, before any last norm.
        layer_input: ``[B, D]``, the pooled input of the first block.
        token_leads: int ``[N]``, which of the batch's leads each token is of, where each is of one.
        token_real: bool ``[B, N]``, False for tokens that stand for nothing in the record; None if none do.
        logits: ``[B, C]``, of the classes that the encoder was trained on, `Encoder.classes`.
    """

    pooled: Tensor
    per_lead: Tensor | None = None
    tokens: Tensor | None = None
    layers: Tensor | None = None
    layer_input: Tensor | None = None
    token_leads: Tensor | None = None
    token_real: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True)
class Reconstruction:
    """What a masked model makes of a batch, piece by piece: n pieces of p samples per lead, one after the other.

    Args:
        original: ``[B, L, n, p]``, what was to be rebuilt.
        visible: Bool ``[B, L, n]``, which pieces the model was shown.
        rebuilt: ``[B, L, n, p]``, what it made, of visible pieces too.
        real: Bool ``[B, L, n]``, False for pieces that hold nothing of the record; None if all do.
    """

    original: Tensor
    visible: Tensor
    rebuilt: Tensor
    real: Tensor | None = None


@dataclass(frozen=True)
class AttentionMap:
    """Where an encoder looked in a batch.

    Args:
        over_time: ``[B, N]``, weight of N stretches of the input in the summary of the record; it may be negative where
            a model subtracts one attention from another.
        spans: ``[N, 2]``, first sample and sample after the last of each stretch; stretches may overlap.
        gate: ``[B, C, L]``, weight that each class gives to the channels made from each of the encoder's L leads, where
            the encoder has such a gate; what these channels hold may have been mixed with other leads'.
    """

    over_time: Tensor
    spans: Tensor
    gate: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """What a training step gives.

    Args:
        parts: The named parts of the loss, scalars whose sum is minimised.
        stats: Named scalars to watch, such as `ecgkit.nn.contrastive.embedding_statistics`; never minimised.
    """

    parts: Mapping[str, Tensor]
    stats: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of the parts."""
        return torch.stack(list(self.parts.values())).sum()

    def scalars(self) -> dict[str, Tensor]:
        """Return the sum, the parts and the statistics by name, without their gradients."""
        named = {**self.parts, **self.stats}
        return {"loss": self.loss.detach(), **{name: value.detach() for name, value in named.items()}}
