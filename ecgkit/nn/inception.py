"""Inception1d: convolutions of several widths side by side, on every sample.

Ismail Fawaz et al., InceptionTime, arXiv 1909.04939, as Strodthoff et al., arXiv 2004.13701, use it for ECGs.

``[B, leads, T] -> [B, 4 filters, T]``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EVERY = 3  # blocks per residual connection


class InceptionBlock(nn.Module):
    """Convolutions of several widths of a narrowed input, and a narrowed maximum of the input itself.

    Args:
        inputs: Channels in.
        filters: Channels of each branch.
        bottleneck: Channels that the convolutions read.
        kernels: Odd widths of the convolutions.
    """

    def __init__(self, inputs: int, filters: int, bottleneck: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.bottleneck = nn.Conv1d(inputs, bottleneck, 1, bias=False)
        self.convs = nn.ModuleList(nn.Conv1d(bottleneck, filters, k, padding=k // 2, bias=False) for k in kernels)
        self.pooled = nn.Conv1d(inputs, filters, 1, bias=False)
        self.norm = nn.BatchNorm1d(filters * (len(kernels) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, filters (1 + kernels), T]``."""
        narrow = self.bottleneck(x)
        branches = [conv(narrow) for conv in self.convs] + [self.pooled(F.max_pool1d(x, 3, 1, 1))]
        return F.relu(self.norm(torch.cat(branches, dim=1)))


class Shortcut(nn.Module):
    """``ReLU(x + BatchNorm(convolution of width 1 of r))``, where r is the input of the blocks that gave x."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """``[B, outputs, T], [B, inputs, T] -> [B, outputs, T]``."""
        return F.relu(x + self.norm(self.conv(r)))


class Inception1d(nn.Module):
    """The convolutional trunk.

    Args:
        leads: Rows in.
        depth: Number of blocks; after every third there is a residual connection.
        filters: Channels of each branch of a block.
        bottleneck: Channels that the wide convolutions read.
        kernels: Odd widths of the convolutions.
    """

    def __init__(
        self,
        *,
        leads: int,
        depth: int = 6,
        filters: int = 32,
        bottleneck: int = 32,
        kernels: Sequence[int] = (39, 19, 9),
    ) -> None:
        super().__init__()
        self.channels = C = filters * (len(kernels) + 1)
        self.blocks = nn.ModuleList(
            InceptionBlock(C if i else leads, filters, bottleneck, kernels) for i in range(depth)
        )
        self.shortcuts = nn.ModuleList(Shortcut(C if i else leads, C) for i in range(depth // EVERY))
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, leads, T] -> [B, C, T]``."""
        r = x
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i % EVERY == EVERY - 1:
                x = r = self.shortcuts[i // EVERY](x, r)
        return x
