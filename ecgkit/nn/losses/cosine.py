"""Cosines between embeddings: ``u(x) = x / max(|x|, 1e-12)`` along the last axis, ``cos(x, y) = u(x) . u(y)``."""

import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision

EPS = 1e-12


def unit(x: Tensor) -> Tensor:
    """Return vectors ``[..., D]`` of length 1."""
    return F.normalize(x, dim=-1, eps=EPS)


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine of each row of `a` with each row of `b`: ``[N, D], [M, D] -> [N, M]``."""
    return unit(a) @ unit(b).T


@in_full_precision
def paired_cosine(a: Tensor, b: Tensor) -> Tensor:
    """Return the cosine of each row of `a` with the same row of `b`: ``[..., D] -> [...]``."""
    return (unit(a) * unit(b)).sum(-1)
