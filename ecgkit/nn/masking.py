"""Random masks over patches, in the notation of He et al., Masked Autoencoders, arXiv 2111.06377.

``ids_keep`` are the patches that stay, ``ids_restore`` puts kept and masked ones back in order, ``mask`` is 1 where a
patch is hidden.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mask:
    """Which of n patches of each row stay.

    Args:
        ids_keep: ``[..., k]``, indices of the patches that stay, in random order.
        ids_restore: ``[..., n]``, place of each patch in the order "kept, then masked".
        mask: ``[..., n]``, 1 where a patch is hidden.
    """

    ids_keep: Tensor
    ids_restore: Tensor
    mask: Tensor


def kept_count(n: int, mask_ratio: float) -> int:
    """Return how many of n patches stay: ``int(n * (1 - mask_ratio))`` in floating point, as published code has it."""
    return int(n * (1 - mask_ratio))


def random_mask(shape: tuple[int, ...], mask_ratio: float, device: torch.device | None = None) -> Mask:
    """Hide a uniform random subset of the patches of each row.

    Args:
        shape: ``(..., n)``: every row of n patches is drawn on its own.
        mask_ratio: Share of patches to hide.
        device: Where to draw.
    """
    order = torch.rand(shape, device=device).argsort(dim=-1)
    return mask_from_restore(order.argsort(dim=-1), kept_count(shape[-1], mask_ratio))


def mask_from_restore(ids_restore: Tensor, kept: int) -> Mask:
    """Build the mask in which the first `kept` of the order that `ids_restore` undoes stay."""
    ids_keep = ids_restore.argsort(dim=-1)[..., :kept]
    return Mask(ids_keep, ids_restore, (ids_restore >= kept).to(torch.float32))


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens ``[..., n, D]`` by index ``[..., k]``: ``[..., k, D]``."""
    return tokens.gather(-2, ids.unsqueeze(-1).expand(*ids.shape, tokens.shape[-1]))
