"""VICReg: views agree, every dimension varies over records, and dimensions do not covary.

Bardes, Ponce and LeCun, VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning, arXiv
2105.04906, equations 1 to 6. With n records of width d:

    inv = mean_{i,k} (a_ik - b_ik)^2
    var(a) = mean_k max(0, 1 - sqrt(var a_k + 1e-4)),  unbiased
    cov(a) = 1 / d sum_{k != l} Cov_kl^2,  Cov = (a - mean)' (a - mean) / (n - 1)
    L = 25 inv + 25 (var(a) + var(b)) / 2 + cov(a) + cov(b)
"""

from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision

EPS = 1e-4


@in_full_precision
def invariance(a: Tensor, b: Tensor) -> Tensor:
    """Return inv of two views ``[N, D]``."""
    return (a - b).square().mean()


@in_full_precision
def variance_hinge(z: Tensor) -> Tensor:
    """Return var of a view ``[N, D]`` of at least two records."""
    return (1 - (z.var(0) + EPS).sqrt()).relu().mean()


@in_full_precision
def off_diagonal_covariance(z: Tensor) -> Tensor:
    """Return cov of a view ``[N, D]`` of at least two records."""
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]


def vicreg_parts(a: Tensor, b: Tensor, weights: tuple[float, float, float] = (25.0, 25.0, 1.0)) -> dict[str, Tensor]:
    """Return the three weighted parts of the loss of two views ``[N, D]``.

    Args:
        a: One view.
        b: The other.
        weights: Of invariance, variance and covariance.
    """
    agree, vary, apart = weights
    return {
        "invariance": agree * invariance(a, b),
        "variance": vary * (variance_hinge(a) + variance_hinge(b)) / 2,
        "covariance": apart * (off_diagonal_covariance(a) + off_diagonal_covariance(b)),
    }
