"""XResNet1d, and the pooling head that it shares with Inception1d.

He et al., Bag of Tricks for Image Classification with Convolutional Neural Networks, arXiv 1812.01187, with
one-dimensional convolutions, as Strodthoff et al., arXiv 2004.13701, use it for ECGs.

``[B, leads, T] -> [B, C, ceil(T / 32)]``.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = (3, 4, 23, 3)  # 101 layers


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution without bias, padded on both sides, and its BatchNorm."""
    conv = nn.Conv1d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(outputs))


class XResBlock(nn.Module):
    """A bottleneck of three convolutions with the stride on the middle one.

    The skip halves time by average pooling, where an odd last sample is kept as it is, and changes the width by a
    convolution of width 1.

    Args:
        inputs: Channels in.
        inside: Channels of the first two convolutions.
        outputs: Channels out.
        kernel: Width of the middle convolution.
        stride: Of time, 1 or 2.
    """

    def __init__(self, inputs: int, inside: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [conv_norm(inputs, inside, 1), conv_norm(inside, inside, kernel, stride), conv_norm(inside, outputs, 1)]
        )
        self.pool = nn.AvgPool1d(2, 2, ceil_mode=True) if stride == 2 else nn.Identity()
        self.project = conv_norm(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, outputs, ceil(T / stride)]``."""
        first, middle, last = self.convs
        out = F.relu(first(x), inplace=True)
        out = last(F.relu(middle(out), inplace=True))
        return F.relu(out + self.project(self.pool(x)), inplace=True)


class XResNet1d(nn.Module):
    """The convolutional trunk.

    Args:
        leads: Rows in.
        layers: Blocks per stage.
        widths: Channels inside the blocks of each stage.
        stem: Channels of the three convolutions of the stem.
        kernel: Width of the middle convolution of a block.
        stem_kernel: Width of the convolutions of the stem.
        expansion: Channels out of a block over those inside it.
    """

    def __init__(
        self,
        *,
        leads: int,
        layers: Sequence[int] = LAYERS,
        widths: Sequence[int] = (64, 64, 64, 64),
        stem: Sequence[int] = (32, 32, 64),
        kernel: int = 5,
        stem_kernel: int = 5,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        sizes = (leads, *stem)
        self.stem = nn.ModuleList(
            conv_norm(a, b, stem_kernel, 2 if i == 0 else 1) for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
        stages, inputs = [], stem[-1]
        for stage, (depth, inside) in enumerate(zip(layers, widths, strict=True)):
            outputs, blocks = inside * expansion, []
            for i in range(depth):
                blocks.append(XResBlock(inputs, inside, outputs, kernel, 2 if stage and not i else 1))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = inputs
        self._start()

    def _start(self) -> None:
        """Start every block as its skip: the last BatchNorm of each block begins with weight 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, XResBlock):
                last = module.convs[-1]
                assert isinstance(last, nn.Sequential)
                assert isinstance(last[1], nn.BatchNorm1d)
                nn.init.zeros_(last[1].weight)

    def forward_stem(self, x: Tensor) -> Tensor:
        """``[B, leads, T] -> [B, stem[-1], ceil(T / 4)]``."""
        for conv in self.stem:
            x = F.relu(conv(x), inplace=True)
        return F.max_pool1d(x, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, leads, T] -> [B, C, ceil(T / 32)]``."""
        x = self.forward_stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


def concat_pool(found: Tensor) -> Tensor:
    """Return the maximum over time followed by the mean over time, ``[B, C, N] -> [B, 2 C]``."""
    return torch.cat([found.amax(dim=-1), found.mean(dim=-1)], dim=1)


class PoolingHead(nn.Sequential):
    """BatchNorm, dropout and a linear layer, with ReLU between such triples: ``[B, width] -> [B, classes]``.

    Dropout is half as strong before the hidden layers as before the last.

    Args:
        width: Of the pooled map.
        hidden: Widths of the hidden layers; empty for one linear layer.
        classes: Number of classes.
        dropout: Dropout before the last layer.
    """

    def __init__(self, width: int, hidden: Sequence[int], classes: int, dropout: float = 0.5) -> None:
        sizes = (width, *hidden, classes)
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(itertools.pairwise(sizes)):
            last = i == len(hidden)
            layers += [nn.BatchNorm1d(a), nn.Dropout(dropout if last else dropout / 2), nn.Linear(a, b)]
            layers += [] if last else [nn.ReLU()]
        super().__init__(*layers)
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
