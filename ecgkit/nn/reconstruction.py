"""The loss of masked autoencoders: mean squared error on hidden patches."""

import torch
from torch import Tensor


def standardize_patches(patches: Tensor, eps: float = 1e-6) -> Tensor:
    """Return ``(x - mean) / sqrt(var + eps)`` of each patch ``[..., p]``, with the unbiased variance.

    He et al., Masked Autoencoders, arXiv 2111.06377, section 4.2 ("normalized pixels").
    """
    var, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (var + eps).sqrt()


def restore_patches(patches: Tensor, original: Tensor, eps: float = 1e-6) -> Tensor:
    """Undo `standardize_patches`: give each patch ``[..., p]`` the mean and the deviation of the original patch."""
    var, mean = torch.var_mean(original, dim=-1, keepdim=True)
    return patches * (var + eps).sqrt() + mean


def masked_mse(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over records of ``sum m * mean_p (predicted - target)^2 / sum m``.

    Each record has the same weight, however many of its patches count, so the loss of a batch is the mean of the losses
    of its parts. If all records have the same number of patches, it is the mean over patches.

    Args:
        predicted: ``[B, ..., n, p]``.
        target: ``[B, ..., n, p]``.
        mask: ``[B, ..., n]``, 1 if a patch counts; a record without any adds 0.
    """
    error = (predicted - target).square().mean(dim=-1)
    return ((error * mask).flatten(1).sum(1) / mask.flatten(1).sum(1).clamp_min(1)).mean()
