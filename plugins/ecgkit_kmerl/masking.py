"""Masking: the leads and segments that a training step sees, and their scaling.

K-MERL, arXiv 2502.17900: dynamic lead masking leaves a few leads of each record, lead-independent segment masking
hides a share of the segments of each lead that stays, the same number in each, so that batches stay rectangular.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecgkit.leads import STANDARD_LEADS
from ecgkit.nn.masking import random_mask
from ecgkit.signal.normalize import Normalization


@dataclass(frozen=True)
class Kept:
    """The part of a batch that the model sees.

    Args:
        leads: ``[B, k]``, indices on the lead axis of the batch.
        segments: ``[B, k, n]``, indices of the segments of those leads.
    """

    leads: Tensor
    segments: Tensor


def draw_leads(
    shape: tuple[int, int], counts: Sequence[int], prob: float, device: torch.device | None = None
) -> Tensor | None:
    """Draw the leads that stay, ``[B, k]``, a uniform draw per record and one k per batch; None to keep all.

    Args:
        shape: B and L.
        counts: Numbers of leads out of twelve that may be hidden.
        prob: Share of the batches with lead masking.
        device: Device of the draw; k is drawn on the CPU, so that a GPU need not wait.
    """
    if torch.rand(()).item() >= prob:
        return None
    B, L = shape
    hidden = counts[int(torch.randint(len(counts), ()))]
    k = max(1, min(L, len(STANDARD_LEADS) - hidden))
    return torch.rand(B, L, device=device).argsort(dim=1)[:, :k]


def draw_segments(
    shape: tuple[int, int, int], ratio: float, device: torch.device | None = None, real: Tensor | None = None
) -> Tensor:
    """Draw the segments that stay in each lead, ``[B, k, n]`` in rising order.

    Args:
        shape: B, k and N.
        ratio: Share of the segments that is hidden.
        device: Device of the draw.
        real: Bool, broadcast to `shape`, False for padding, which is hidden first.
    """
    if not ratio:
        return torch.arange(shape[-1], device=device).expand(shape)
    return random_mask(shape, ratio, device, real).ids_keep.sort(dim=-1).values


def rescale(signal: Tensor, how: Normalization, lengths: Tensor | None = None) -> Tensor:
    """Scale the leads that stay over these leads only, so that the scaling holds nothing of the hidden leads.

    Args:
        signal: ``[B, k, T]``, scaled over more leads. Scalings are affine, so the first is undone.
        how: Scaling of the signal contract. Only scalings over the whole record depend on the leads that are present.
        lengths: ``[B]``, how many samples are real.
    """
    if not how.startswith("record"):
        return signal
    T = signal.shape[-1]
    real = torch.ones_like(signal, dtype=torch.bool)
    if lengths is not None:
        real = (torch.arange(T, device=signal.device) < lengths[:, None, None]).expand(signal.shape)
    if how == "record-minmax":
        shift = signal.masked_fill(~real, torch.inf).amin((1, 2), keepdim=True)
        scale = signal.masked_fill(~real, -torch.inf).amax((1, 2), keepdim=True) - shift
    else:
        count = real.sum((1, 2), keepdim=True)
        shift = (signal * real).sum((1, 2), keepdim=True) / count
        scale = (((signal - shift) * real).square().sum((1, 2), keepdim=True) / count).sqrt()
    scaled = torch.where(scale > 0, (signal - shift) / scale.clamp_min(torch.finfo(scale.dtype).tiny), 0.0)
    return torch.where(real, scaled, 0.0)


def take_leads(signal: Tensor, leads: Tensor) -> Tensor:
    """Pick leads ``[B, k]`` of signals ``[B, L, T]``: ``[B, k, T]``."""
    return signal.gather(1, leads[..., None].expand(-1, -1, signal.shape[-1]))
