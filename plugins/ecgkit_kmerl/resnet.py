"""MERL's ResNet encoder, and the attention pool on top of it.

Liu et al., MERL, arXiv 2403.06659, released code. ``[B, leads, T] -> [B, C, T / 16]``.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ecgkit.methods import Encoder, Features
from ecgkit.nn.lead_check import LeadRows
from ecgkit.nn.resnet import ResNet1d, map_means
from ecgkit_kmerl.config import MerlConfig


class ResNetEncoder(Encoder):
    """MERL's ResNet; features are the mean of its map over time. A lead that is not given is a row of zeros.

    Layers are the means over time of the blocks' maps; the narrower maps of the earlier stages end in zeros.
    """

    fill: ClassVar[str] = "zeros"
    padding: ClassVar[str] = "zeros"  # part of the time mean, as in the released code

    def __init__(self, config: MerlConfig) -> None:
        super().__init__()
        self.rows = LeadRows(config.signal)
        self.trunk = ResNet1d(config.encoder, leads=len(config.signal.leads), channels=config.channels)
        self.width = self.trunk.channels

    def stages(self) -> list[list[nn.Module]]:
        """Return the residual blocks; see `Encoder.stages`. Only the mean over time follows them."""
        return [*([block] for stage in self.trunk.stages for block in stage.children()), []]

    def feature_map(self, signal: Tensor, lead_ids: Tensor) -> Tensor:
        """Return ``[B, C, ceil(T / 16)]``."""
        found: Tensor = self.trunk(self.rows(signal, lead_ids))
        return found

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        """Encode records; see `Encoder.forward`. Padding counts as signal at rest, as in the released code."""
        maps = list(self.trunk.maps(self.rows(signal, lead_ids)))
        means = map_means(maps)
        return Features(
            pooled=means[:, -1], tokens=maps[-1].transpose(1, 2), layers=means[:, 1:], layer_input=means[:, 0]
        )


class AttentionPool(nn.Module):
    """One learned token attends over a map: ``[B, D, n] -> [B, D]``.

    As in the released code, the token gets position 0 twice: once by itself and once together with the others.

    Args:
        width: D.
        heads: Attention heads.
        positions: Longest n.
    """

    def __init__(self, *, width: int, heads: int, positions: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positional_embedding = nn.Parameter(torch.randn(1, positions + 1, width) / width**0.5)
        self.mhsa = nn.MultiheadAttention(width, heads, batch_first=True)
        self.c_proj = nn.Linear(width, width)

    def forward(self, found: Tensor) -> Tensor:
        """Return the pooled map."""
        return self.attend(found)[0]

    def attend(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled map ``[B, D]`` and the attention weights ``[B, 1, n]``, mean over heads."""
        x = found.transpose(1, 2)
        cls = (self.cls_token + self.positional_embedding[:, :1]).expand(x.shape[0], -1, -1)
        x = torch.cat([cls, x], dim=1) + self.positional_embedding[:, : x.shape[1] + 1]
        pooled, weights = self.mhsa(x[:, :1], x, x, average_attn_weights=True)
        return self.c_proj(pooled)[:, 0], weights[:, :, 1:]
