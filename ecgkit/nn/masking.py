"""Random masks over patches, in the notation of He et al., Masked Autoencoders, arXiv 2111.06377.

``ids_keep`` are the patches that are kept, ``ids_restore`` puts kept and masked patches back in order, and ``mask`` is
1 for a masked patch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mask:
    """The kept and masked ones of the n patches of each row.

    Args:
        ids_keep: ``[..., k]``, indices of the kept patches, in random order.
        ids_restore: ``[..., n]``, position of each patch in the order "kept, then masked".
        mask: ``[..., n]``, 1 if a patch is masked and counts in the loss.
        real: bool ``[..., n]``, False for padding; None if all patches are real.
    """

    ids_keep: Tensor
    ids_restore: Tensor
    mask: Tensor
    real: Tensor | None = None


def kept_count(n: int, mask_ratio: float) -> int:
    """Return the number of kept patches: ``int(n * (1 - mask_ratio))`` in floating point, as in published code."""
    return int(n * (1 - mask_ratio))


def random_mask(
    shape: tuple[int, ...], mask_ratio: float, device: torch.device | None = None, real: Tensor | None = None
) -> Mask:
    """Mask a uniform random subset of the patches of each row.

    Args:
        shape: ``(..., n)``; each row of n patches is drawn independently.
        mask_ratio: Share of patches to mask.
        device: Device on which to draw.
        real: bool, broadcast to `shape`: False for padding, which is masked first and never counts; None means that all
            patches are real.
    """
    noise = torch.rand(shape, device=device)
    if real is not None:
        noise = noise + 2.0 * ~real
    order = noise.argsort(dim=-1)
    drawn = _mask(order, order.argsort(dim=-1), kept_count(shape[-1], mask_ratio))
    if real is None:
        return drawn
    return replace(drawn, mask=drawn.mask * real, real=real.expand(shape))


def mask_from_restore(ids_restore: Tensor, kept: int) -> Mask:
    """Build the mask that keeps the first `kept` patches of the order that `ids_restore` undoes."""
    return _mask(ids_restore.argsort(dim=-1), ids_restore, kept)


def _mask(order: Tensor, ids_restore: Tensor, kept: int) -> Mask:
    """Build a mask from an order of the patches and its inverse."""
    return Mask(order[..., :kept], ids_restore, (ids_restore >= kept).to(torch.float32))


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens ``[..., n, D]`` by index ``[..., k]``: ``[..., k, D]``."""
    return tokens.gather(-2, ids.unsqueeze(-1).expand(*ids.shape, tokens.shape[-1]))
