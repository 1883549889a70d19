"""CPC: a context must find the latent that comes k steps later among other latents.

Van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748, equation 4; for ECGs
Mehari and Strodthoff, arXiv 2103.12676, which predicts only the one step k and draws negatives with replacement from
the same record. With latents z, contexts c and a projection P:

    L = mean over records and over t = 0 .. S - k - 1 of CE(P c_t . x over x in [z_{t+k}, negatives]; 0)

The published code takes the sum over t. The mean is the same up to the constant S - k.
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import unit
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def ahead_contrast(
    predicted: Tensor, latents: Tensor, negatives: Tensor, k: int, temperature: float | None = None
) -> Tensor:
    """Return the cross-entropy of every prediction, ``[B, S - k]``.

    Args:
        predicted: ``[B, S - k, D]``, ``P c_t`` for the steps k, k + 1, ... S - 1.
        latents: ``[B, S, D]``.
        negatives: ``[B, S - k, M, D]``, latents that are wrong.
        k: The distance, at least 1.
        temperature: None compares by inner products; a number compares by cosines divided by it.
    """
    if temperature is not None:
        predicted, latents, negatives = unit(predicted) / temperature, unit(latents), unit(negatives)
    true = (predicted * latents[:, k:]).sum(-1, keepdim=True)
    false = torch.einsum("btd,btmd->btm", predicted, negatives)
    return torch.cat([true, false], -1).logsumexp(-1) - true[..., 0]


def other_steps(draws: Tensor, k: int) -> Tensor:
    """Return steps that are never the one to be predicted, ``[B, S - k, M]``.

    Args:
        draws: Int ``[B, S - k, M]``, uniform from 0 to S - 2.
        k: The distance.
    """
    ahead = torch.arange(k, k + draws.shape[1], device=draws.device)[:, None]
    return draws + (draws >= ahead)
