"""Which samples the outputs of a stack of convolutions are made from."""

from collections.abc import Iterable

import torch
from torch import Tensor


def receptive_fields(layers: Iterable[tuple[int, int, int]], samples: int, outputs: int) -> Tensor:
    """Return the first sample of each output and the sample after its last, int ``[outputs, 2]``.

    Args:
        layers: Width, stride and padding of each convolution, from the first.
        samples: Length of the input, to which the stretches are cut.
        outputs: Number of outputs.
    """
    start, size, step = 0, 1, 1
    for kernel, stride, padding in layers:
        start -= padding * step
        size += (kernel - 1) * step
        step *= stride
    first = start + step * torch.arange(outputs)
    return torch.stack([first, first + size], dim=1).clamp(0, samples)
