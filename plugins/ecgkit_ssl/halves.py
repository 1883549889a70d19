"""The two halves of a record, as segments to compare."""

import torch
from torch import Tensor


def halves(signal: Tensor, lengths: Tensor | None) -> list[tuple[Tensor, Tensor]]:
    """Return both halves of what is real of each record, ``[B, L, T // 2]`` with zeros behind, and their lengths.

    Args:
        signal: ``[B, L, T]``.
        lengths: ``[B]``, number of real samples; None if all are real.
    """
    B, L, T = signal.shape
    half = (torch.full((B,), T, device=signal.device) if lengths is None else lengths) // 2
    at = torch.arange(T // 2, device=signal.device)
    real = at < half[:, None]
    second = (at + half[:, None]).clamp(max=T - 1)[:, None].expand(B, L, -1)
    return [(x * real[:, None], half) for x in (signal[..., : T // 2], signal.gather(2, second))]
