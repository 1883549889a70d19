"""Net1D: grouped convolutions with squeeze and excitation, without any normalisation.

Hong et al., HOLMES, KDD 2020 (arXiv 2008.04063), in the form that ECGFounder (arXiv 2410.04133) releases.

``[B, leads, T] -> [B, C, ceil(T / 2^(1 + stages))]``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SameConv1d(nn.Conv1d):
    """A convolution with ``ceil(T / stride)`` samples out; of an odd padding the longer part lies on the right."""

    def forward(self, input: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, outputs, ceil(T / stride)]``."""
        T, kernel, stride = input.shape[-1], self.kernel_size[0], self.stride[0]
        pad = max(0, ((T - 1) // stride) * stride + kernel - T)
        return super().forward(F.pad(input, (pad // 2, pad - pad // 2)) if pad else input)


class Net1dBlock(nn.Module):
    """Narrow, grouped and wide convolution, weighted by squeeze and excitation, plus a skip that has no parameters.

    Args:
        inputs: Channels in.
        outputs: Channels out, at least as many.
        kernel: Width of the grouped convolution.
        stride: Of time, 1 or 2.
        group: Channels per group.
        first: Whether this is the first block of the network, whose input is already activated.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, group: int, *, first: bool) -> None:
        super().__init__()
        self.first, self.stride, self.more = first, stride, outputs - inputs
        self.convs = nn.ModuleList(
            [
                SameConv1d(inputs, outputs, 1),
                SameConv1d(outputs, outputs, kernel, stride, groups=outputs // group),
                SameConv1d(outputs, outputs, 1),
            ]
        )
        self.squeeze = nn.Linear(outputs, outputs // 2)
        self.excite = nn.Linear(outputs // 2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, outputs, ceil(T / stride)]``."""
        enter, *others = self.convs
        out = enter(x if self.first else F.silu(x))
        for conv in others:
            out = conv(F.silu(out, inplace=not torch.is_grad_enabled()))  # nobody else reads it
        share = self.excite(F.silu(self.squeeze(out.mean(dim=-1)))).sigmoid()
        return torch.addcmul(self._skip(x), out, share[..., None])

    def _skip(self, x: Tensor) -> Tensor:
        if self.stride == 2:
            x = F.max_pool1d(F.pad(x, (0, 1)), 2, 2)
        return F.pad(x, (0, 0, self.more // 2, self.more - self.more // 2)) if self.more else x


class Net1d(nn.Module):
    """The convolutional trunk.

    Args:
        leads: Rows in.
        stem: Channels of the first convolution.
        widths: Channels of each stage.
        layers: Blocks of each stage; the first of them halves time.
        kernel: Width of the stem and of the grouped convolutions.
        group: Channels per group.
    """

    def __init__(
        self,
        *,
        leads: int,
        stem: int = 64,
        widths: Sequence[int] = (64, 160, 160, 400, 400, 1024, 1024),
        layers: Sequence[int] = (2, 2, 2, 3, 3, 4, 4),
        kernel: int = 16,
        group: int = 16,
    ) -> None:
        super().__init__()
        self.stem = SameConv1d(leads, stem, kernel, 2)
        stages: list[nn.Module] = []
        inputs = stem
        for depth, outputs in zip(layers, widths, strict=True):
            blocks = []
            for i in range(depth):
                first = not stages and not i
                blocks.append(Net1dBlock(inputs, outputs, kernel, 1 if i else 2, group, first=first))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.channels = inputs

    def forward(self, x: Tensor) -> Tensor:
        """``[B, leads, T] -> [B, C, N]``."""
        x = F.silu(self.stem(x))
        for stage in self.stages:
            x = stage(x)
        return x
