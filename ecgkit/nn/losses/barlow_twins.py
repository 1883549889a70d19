"""Barlow Twins: each dimension of one view agrees with the same dimension of the other, and with no other dimension.

Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, arXiv 2103.03230, equation 1:

    z^ = (z - mean) / sqrt(var + 1e-5) per dimension, over records;    C = a^' b^ / n
    L = sum_k (C_kk - 1)^2 + lambda sum_{k != l} C_kl^2
"""

from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision

EPS = 1e-5


@in_full_precision
def cross_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Return C ``[D, D]`` of two views ``[N, D]``, with the biased variance."""
    return _standardized(a).T @ _standardized(b) / len(a)


@in_full_precision
def redundancy(correlation: Tensor, weight: float = 0.005) -> Tensor:
    """Return the loss of C ``[D, D]``.

    Args:
        correlation: C.
        weight: lambda, the weight of what lies off the diagonal.
    """
    on = correlation.diagonal()
    off = correlation.square().sum() - on.square().sum()
    return (on - 1).square().sum() + weight * off


def barlow_twins_loss(a: Tensor, b: Tensor, weight: float = 0.005) -> Tensor:
    """Return the loss of two views ``[N, D]``; see `redundancy`."""
    return redundancy(cross_correlation(a, b), weight)


def _standardized(z: Tensor) -> Tensor:
    return (z - z.mean(0)) / (z.var(0, correction=0) + EPS).sqrt()
