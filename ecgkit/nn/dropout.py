"""Dropout with fast random numbers on a CPU.

Srivastava et al., Journal of Machine Learning Research 15, 2014. On a CPU, torch draws one random number per element,
which took a quarter of a query network's step. Here four elements share 64 random bits, so a share is exact to 1 /
65,536. On other devices torch's own dropout is used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 1 << 16


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Set a random share of the elements to 0 and divide the others by the rest, in training only."""
    if not training or not share:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, share)
    limit = min(round(share * LEVELS), LEVELS - 1)
    bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)
    dropped = bits[: x.numel()].view(x.shape) < limit - LEVELS // 2
    return (x * (LEVELS / (LEVELS - limit))).masked_fill(dropped, 0.0)
