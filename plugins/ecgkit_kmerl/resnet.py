"""1-D ResNets and the attention pool on top, as MERL has them.

He et al., Deep Residual Learning, arXiv 1512.03385, with one-dimensional convolutions, no max-pooling and no bias;
Liu et al., MERL, arXiv 2403.06659, released code. ``[B, leads, T] -> [B, C, T / 16]``.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.methods import Encoder, Features
from ecgkit.nn.lead_check import LeadRows
from ecgkit_kmerl.config import MerlConfig

# Blocks of the four stages, and whether blocks are bottlenecks.
DEPTHS: dict[str, tuple[tuple[int, ...], bool]] = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}
EXPANSION = 4  # of a bottleneck


class ResidualBlock(nn.Module):
    """Two convolutions of width 3, or a bottleneck of widths 1, 3, 1; the stride lies on the first of width 3.

    Args:
        inputs: Channels in.
        channels: Channels inside; out they are as many, or `EXPANSION` times as many.
        stride: Of time.
        bottleneck: Whether to use the bottleneck form.
    """

    def __init__(self, inputs: int, channels: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = channels * (EXPANSION if bottleneck else 1)
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        widths = (inputs, channels, *([channels] if bottleneck else []), outputs)
        strided = kernels.index(3)
        self.convs = nn.ModuleList(
            nn.Conv1d(a, b, kernel, stride if i == strided else 1, kernel // 2, bias=False)
            for i, (a, b, kernel) in enumerate(zip(widths, widths[1:], kernels, strict=False))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])
        changes = stride != 1 or inputs != outputs
        self.shortcut = (
            nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))
            if changes
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, outputs, T / stride]``."""
        out = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            out = norm(conv(out if i == 0 else F.relu(out)))
        return F.relu(out + self.shortcut(x))


class ResNet1d(nn.Module):
    """The convolutional trunk.

    Args:
        name: One of `DEPTHS`.
        leads: Rows in.
        channels: Width of the first stage.
    """

    def __init__(self, name: str, *, leads: int, channels: int = 64) -> None:
        super().__init__()
        depths, bottleneck = DEPTHS[name]
        self.conv = nn.Conv1d(leads, channels, 7, 2, 3, bias=False)
        self.norm = nn.BatchNorm1d(channels)
        stages, inputs = [], channels
        for stage, depth in enumerate(depths):
            inside = channels * 2**stage
            blocks = []
            for i in range(depth):
                blocks.append(ResidualBlock(inputs, inside, 2 if stage and not i else 1, bottleneck=bottleneck))
                inputs = inside * (EXPANSION if bottleneck else 1)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = inputs

    def forward(self, x: Tensor) -> Tensor:
        """``[B, leads, T] -> [B, C, ceil(T / 16)]``."""
        x = F.relu(self.norm(self.conv(x)))
        for stage in self.stages:
            x = stage(x)
        return x


def map_length(samples: int) -> int:
    """Return the number of positions in the map of a signal: T is halved four times, each time rounded up."""
    for _ in range(4):
        samples = (samples + 1) // 2
    return samples


class ResNetEncoder(Encoder):
    """MERL's ResNet; features are the mean of its map over time. A lead that is not given is a row of zeros."""

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
        found = self.feature_map(signal, lead_ids)
        return Features(pooled=found.mean(dim=-1), tokens=found.transpose(1, 2))


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
