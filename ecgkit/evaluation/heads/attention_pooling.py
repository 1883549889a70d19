"""Attention pooling: one trained query attends to all tokens of a record, and a linear classifier reads its output.

It suits token encoders whose pooled output was not trained to carry information, such as masked autoencoders. Source:
Yu et al., CoCa, arXiv 2205.01917, section 3.2 (attentional pooler), with one query. Keys and values are projections of
the normed tokens; padding tokens are masked out. The encoder stays frozen.
"""

from dataclasses import dataclass, replace
from math import gcd
from typing import ClassVar

import torch
from torch import Tensor, nn

from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.trained import RECIPE, HeadConfig, TrainedHead
from ecgkit.recipe import Recipe

# Our choice. A recipe states the learning rate for a batch of 256; at a batch of 64 the peak is 1e-3.
POOLING_RECIPE = replace(RECIPE, epochs=40, batch_size=64, lr=4e-3, warmup_epochs=4.0)


@dataclass(frozen=True)
class AttentionPoolingConfig(HeadConfig):
    """Settings of the head.

    Args:
        recipe: Training recipe.
        heads: Number of attention heads. The greatest common divisor of it and the width of the tokens is used.
        dropout: Dropout rate on the output of the query.
    """

    recipe: Recipe = POOLING_RECIPE
    heads: int = 8
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"heads {self.heads} must be at least 1, dropout {self.dropout:g} in [0, 1)")


class AttentionPooling(nn.Module):
    """A layer norm, one attention query over the tokens, and a linear classifier.

    Args:
        width: Width D of the tokens.
        classes: Number C of classes.
        config: Settings of the head.
    """

    def __init__(self, width: int, classes: int, config: AttentionPoolingConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.attention = nn.MultiheadAttention(width, gcd(width, config.heads), batch_first=True)
        self.drop = nn.Dropout(config.dropout)
        self.out = nn.Linear(width, classes)

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """Return logits ``[B, C]`` from tokens ``[B, N, D]``; `real` ``[B, N]`` marks those that are not padding."""
        x = self.norm(tokens.float())
        # A record with only padding would give a softmax over nothing, so the query attends to its padding instead.
        hidden = ~(real | ~real.any(dim=1, keepdim=True))
        query = self.query.expand(x.shape[0], -1, -1)
        seen, _ = self.attention(query, x, x, key_padding_mask=hidden, need_weights=False)
        logits: Tensor = self.out(self.drop(seen[:, 0]))
        return logits


class AttentionPoolingHead(TrainedHead):
    """Attention pooling as a head; see the module."""

    config: AttentionPoolingConfig
    settings = AttentionPoolingConfig
    reads = ("tokens", "token_real")
    piece: ClassVar[int] = 256  # small, because tokens take much memory

    def build(self, train: Part) -> nn.Module:
        """Return the query and the classifier for the width of the tokens."""
        return AttentionPooling(train.features["tokens"].shape[2], train.targets.shape[1], self.config)
