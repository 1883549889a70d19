"""Parts of wav2vec 2.0 that encoders of ECGs share: a stack of convolutions, and positions by convolution.

Baevski et al., wav2vec 2.0, arXiv 2006.11477; Hsu et al., HuBERT, arXiv 2106.07447.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.receptive_field import receptive_fields


class ConvolutionStack(nn.Module):
    """Convolutions without bias and padding, each followed by GELU, with a norm per channel after the first.

    The norm takes mean and variance of each channel over time, record by record, padding included.

    Args:
        inputs: Rows in.
        width: Channels of all convolutions.
        kernels: Widths of the convolutions.
        strides: Their strides.
    """

    def __init__(self, *, inputs: int, width: int, kernels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(width if i else inputs, width, kernel, stride, bias=False)
            for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True))
        )
        self.norm = nn.GroupNorm(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, T] -> [B, width, N]``."""
        for i, conv in enumerate(self.convs):
            x = conv(x)
            x = F.gelu(self.norm(x) if i == 0 else x)
        return x

    def length(self, samples: Tensor) -> Tensor:
        """Return the number of outputs of so many samples, rounded down at each convolution; none becomes below 0."""
        for conv in self.convs:
            kernel, stride = conv.kernel_size[0], conv.stride[0]  # type: ignore[index]
            samples = (samples - kernel).div(stride, rounding_mode="floor") + 1
        return samples.clamp(min=0)

    def spans(self, samples: int, tokens: int) -> Tensor:
        """Return the samples of the input from which each output is made, int ``[tokens, 2]``."""
        convs = [conv for conv in self.convs.children() if isinstance(conv, nn.Conv1d)]
        sizes = [(conv.kernel_size[0], conv.stride[0], 0) for conv in convs]
        return receptive_fields(sizes, samples, tokens)


class PositionalConvolution(nn.Module):
    """A grouped convolution over tokens, then GELU; each tap of the kernel has a gain and a direction.

    The weight is ``gain[k] direction[o, i, k] / |direction[:, :, k]|`` (weight normalisation over the taps). The input
    is padded by half the kernel on both sides; of an even kernel the last output is dropped.

    Args:
        width: D.
        taps: Width of the kernel.
        groups: Groups of channels.
    """

    def __init__(self, *, width: int, taps: int, groups: int) -> None:
        super().__init__()
        self.taps, self.groups = taps, groups
        self.direction = nn.Parameter(torch.randn(width, width // groups, taps) * (4 / (taps * width)) ** 0.5)
        self.gain = nn.Parameter(torch.linalg.vector_norm(self.direction.detach(), dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, D] -> [B, N, D]``."""
        weight = self.gain * self.direction / torch.linalg.vector_norm(self.direction, dim=(0, 1), keepdim=True)
        out = F.conv1d(x.mT, weight, self.bias, padding=self.taps // 2, groups=self.groups)
        return F.gelu(out[..., : x.shape[1]]).mT


def positional_rules(official: str, ours: str) -> dict[str, str]:
    """Return rules for `ecgkit.training.official`: torch has stored weight normalisation under two sets of names.

    Args:
        official: Regular expression of the convolution's official name.
        ours: Our name of the `PositionalConvolution`.
    """
    return {
        rf"{official}\.bias": rf"{ours}.bias",
        rf"{official}\.(?:parametrizations\.weight\.original0|weight_g)": rf"{ours}.gain",
        rf"{official}\.(?:parametrizations\.weight\.original1|weight_v)": rf"{ours}.direction",
    }
