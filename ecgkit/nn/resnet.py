"""1-D ResNets.

He et al., Deep Residual Learning, arXiv 1512.03385, with one-dimensional convolutions, no max-pooling and no bias, as
in the released code of Liu et al., MERL, arXiv 2403.06659. ``[B, leads, T] -> [B, C, T / 16]``.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
        *_, last = self.maps(x)
        return last

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the map that enters the first block, then the output of every block."""
        x = F.relu(self.norm(self.conv(x)))
        yield x
        for stage in self.stages:
            for block in stage.children():
                x = block(x)
                yield x


def map_means(maps: Sequence[Tensor]) -> Tensor:
    """Return the mean over time of each map, ``[B, maps, C]``; a map of fewer than C channels ends in zeros.

    Args:
        maps: Maps ``[B, channels, time]``, of which the last has the most channels, C.
    """
    C = maps[-1].shape[1]
    return torch.stack([F.pad(found.mean(dim=-1), (0, C - found.shape[1])) for found in maps], dim=1)


def map_length(samples: int) -> int:
    """Return the number of positions in the map of a signal: T is halved four times, each time rounded up."""
    for _ in range(4):
        samples = (samples + 1) // 2
    return samples
