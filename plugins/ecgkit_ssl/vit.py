"""A vision transformer over time: a token holds a stretch of all leads.

Dosovitskiy et al., An Image Is Worth 16x16 Words, arXiv 2010.11929, with sine positions and without a class token; for
ECGs Weimann and Conrad, arXiv 2410.13867. In: signal ``[B, L, T]``, any of the twelve leads; a lead that is not given
is 0. Out: features of width D. N tokens; padding is never looked at.
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import Batch, Encoder, Features, TokenLayout, patch_layout
from ecgkit.nn.lead_check import on_standard_leads
from ecgkit.nn.positions import sincos_positions
from ecgkit.nn.transformer import Block


class TimeViT(Encoder):
    """Pre-norm blocks over tokens of all leads, and a last norm.

    Args:
        samples: T, the longest input.
        patch: Samples per token.
        width: D.
        depth: Number of blocks.
        heads: Attention heads.
        hidden: Width inside the feed-forward layers.
    """

    fill: ClassVar[str] = "zeros"

    def __init__(self, *, samples: int, patch: int, width: int, depth: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.width, self.patch = width, patch
        self.settings = {"samples": samples, "patch": patch, "width": width, "depth": depth, "heads": heads}
        self.embed = nn.Conv1d(len(STANDARD_LEADS), width, patch, stride=patch)
        self.register_buffer("positions", sincos_positions(math.ceil(samples / patch), width), persistent=False)
        self.blocks = nn.ModuleList(Block(width=width, heads=heads, hidden=hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    positions: Tensor

    def real_tokens(self, signal: Tensor, lengths: Tensor | None) -> Tensor:
        """Return bool ``[B, N]``, True for tokens that hold a sample of the record."""
        tokens = torch.arange(0, signal.shape[-1], self.patch, device=signal.device)
        whole = torch.full((signal.shape[0],), signal.shape[-1], device=signal.device)
        return tokens < (whole if lengths is None else lengths.clamp(min=1))[:, None]

    def patches(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Return embedded tokens without positions, ``[B, N, D]``; zeros fill the last token up."""
        whole = F.pad(on_standard_leads(signal, lead_ids), (0, -signal.shape[-1] % self.patch))
        x: Tensor = self.embed(whole).transpose(1, 2)
        return x

    def tokens(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Return embedded tokens with positions, ``[B, N, D]``."""
        return self.placed(self.patches(signal, lead_ids))

    def placed(self, x: Tensor) -> Tensor:
        """Add positions to tokens ``[B, N, D]``."""
        return x + self.positions[: x.shape[1]]

    def run(self, x: Tensor, seen: Tensor) -> list[Tensor]:
        """Return the output of every block; `seen`, bool ``[B, N]``, says which tokens may be looked at."""
        outputs = []
        for block in self.blocks:
            x = block(x, seen[:, None, None])
            outputs.append(x)
        return outputs

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records; see `Encoder.forward`."""
        x, real = self.tokens(signal, lead_ids), self.real_tokens(signal, lengths)
        outputs = self.run(x, real)
        last = self.norm(outputs[-1])
        return Features(
            pooled=mean_over(last, real),
            tokens=last,
            layers=torch.stack([mean_over(output, real) for output in outputs], dim=1),
            layer_input=mean_over(x, real),
            token_real=None if lengths is None else real,
        )

    def token_layout(self, batch: Batch, features: Features) -> TokenLayout:
        """Return the stretches of all leads; see `Encoder.token_layout`."""
        real = self.real_tokens(batch.signal, batch.lengths)[0]
        return patch_layout(batch.signal.shape[1], len(real), self.patch, by_lead=False, real=real)


def mean_over(x: Tensor, real: Tensor) -> Tensor:
    """Return the mean of the real tokens, ``[B, N, D] -> [B, D]``."""
    weight = real[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1)
