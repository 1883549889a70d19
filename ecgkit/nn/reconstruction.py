"""The loss of masked autoencoders: mean squared error on hidden patches."""

import torch
from torch import Tensor


def standardize_patches(patches: Tensor, eps: float = 1e-6) -> Tensor:
    """Return ``(x - mean) / sqrt(var + eps)`` of each patch ``[..., p]``, with the unbiased variance.

    He et al., Masked Autoencoders, arXiv 2111.06377, section 4.2 ("normalized pixels").
    """
    var, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (var + eps).sqrt()


def masked_mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return ``sum m * mean_p (predicted - target)^2 / sum m``.

    Args:
        predicted: ``[..., n, p]``.
        target: ``[..., n, p]``.
        mask: ``[..., n]``, 1 where a patch counts.
    """
    error = (predicted - target).square().mean(dim=-1)
    return (error * mask).sum() / mask.sum()
