"""Outputs of a model: features, losses and reconstructions. Shapes as in `ecgkit.methods`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """The output of an encoder for a batch.

    Args:
        pooled: Representation of each record, ``[B, D]``.
        per_lead: Representation of each lead, ``[B, L, D]``.
        tokens: Representation of each token, ``[B, N, D]``, after the last norm.
        layers: Pooled output of every block, ``[B, depth, D]``, before any last norm.
        layer_input: Pooled input of the first block, ``[B, D]``.
        token_leads: int ``[N]``, index of each token's lead among the batch's leads, if each token belongs to one lead.
        token_real: bool ``[B, N]``, False for padding tokens; None if no token is padding.
        logits: Logits of the classes that the encoder was trained on (`Encoder.classes`), ``[B, C]``.
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
    """A masked model's reconstruction of a batch, in n consecutive pieces of p samples per lead.

    Args:
        original: ``[B, L, n, p]``, the target of the reconstruction.
        visible: bool ``[B, L, n]``, True for pieces that the model was shown.
        rebuilt: ``[B, L, n, p]``, the reconstruction, of visible pieces too.
        real: bool ``[B, L, n]``, False for pieces that are padding; None if no piece is padding.
    """

    original: Tensor
    visible: Tensor
    rebuilt: Tensor
    real: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """The result of a training step.

    Args:
        parts: The named parts of the loss, scalars whose sum is minimised.
        stats: Named scalars to watch, such as `ecgkit.nn.contrastive.embedding_statistics`; they are not minimised.
    """

    parts: Mapping[str, Tensor]
    stats: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of the parts."""
        return torch.stack(list(self.parts.values())).sum()

    def scalars(self) -> dict[str, Tensor]:
        """Return the sum, the parts and the statistics by name, detached from the graph."""
        named = {**self.parts, **self.stats}
        return {"loss": self.loss.detach(), **{name: value.detach() for name, value in named.items()}}
