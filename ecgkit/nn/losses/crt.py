"""CRT: what is rebuilt of a record and of its spectrum, and patches that stay apart.

Zhang et al., Self-supervised Time Series Representation Learning via Cross Reconstruction Transformer, arXiv
2205.09928, equations 7 to 9. With the visible tokens t_i of a record before, and o_j after the encoder, projected by A
and B:

    reconstruction  mean over all patches of the squared error
    discrimination  log sum over i != j of exp(u(A t_i) . u(B o_j)),    u(x) = x / |x|
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import unit
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def instance_discrimination(before: Tensor, after: Tensor) -> Tensor:
    """Return the discrimination of each record, ``[B]``.

    Args:
        before: ``[B, N, D]``, projected tokens before the encoder.
        after: ``[B, N, D]``, the same tokens after it.
    """
    scores = unit(before) @ unit(after).transpose(1, 2)  # (B, N, N)
    own = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    return scores.masked_fill(own, -torch.inf).flatten(1).logsumexp(-1)


@in_full_precision
def patch_errors(rebuilt: Tensor, patches: Tensor) -> Tensor:
    """Return the mean squared error of every patch, ``[B, N, L, p] -> [B, N]``."""
    return (rebuilt - patches).square().mean((-2, -1))
