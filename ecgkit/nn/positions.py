"""Fixed position tables."""

import torch
from torch import Tensor


def sincos_positions(n: int, width: int) -> Tensor:
    """Return the table ``[n, width]`` with row m = [sin(m w_i), cos(m w_i)], w_i = 10000^(-i / (width / 2)).

    Vaswani et al., arXiv 1706.03762, section 3.5, in the layout of He et al., Masked Autoencoders, arXiv 2111.06377
    (all sines, then all cosines).
    """
    if width % 2:
        raise ValueError(f"width {width} must be even")
    rate = 10_000 ** (-torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angle = torch.arange(n, dtype=torch.float64)[:, None] * rate  # (n, width / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()
