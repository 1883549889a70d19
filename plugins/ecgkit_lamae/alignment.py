"""MMVM's alignment of leads, as MVMAE (github.com/agostini335/MVMAE) weighs it over epochs."""

import torch
from torch import Tensor, nn

from ecgkit.methods import Clock
from ecgkit_lamae.config import Alignment
from ecgkit_lamae.encoder import Encoded, mean_of_real


def alignment_weight(settings: Alignment, warmup: float, clock: Clock) -> Tensor:
    """Return the weight beta(t) at epoch t: ``2 sigmoid(s (t - t_mid))``, held at its first value in the warm-up.

    Args:
        settings: May give s; the default is 9 divided by the number of epochs after the warm-up.
        warmup: Epochs of warm-up.
        clock: Where the training stands.
    """
    rest = clock.epochs - warmup
    middle = int(warmup + rest / 2)
    slope = 9 / max(rest, 1) if settings.slope is None else settings.slope
    epoch = torch.tensor(clock.epoch)
    return 2 * torch.sigmoid(slope * (torch.where(epoch < warmup, 0.0, epoch) - middle))


def alignment_loss(encoded: Encoded, settings: Alignment) -> Tensor:
    """Return the distance between the means of the leads, averaged over the pairs of leads that are present.

    With u_l the mean of lead l's encoder tokens, of length 1: ``mean over l, m of mean_d (u_ld - u_md)^2``, or minus
    the mean over l != m of ``u_l . u_m``.
    """
    u = nn.functional.normalize(_lead_means(encoded, settings), dim=-1)  # (B, L, D)
    L = u.shape[1]
    if settings.kind == "cosine":
        products = u @ u.transpose(1, 2)
        others = products.sum(dim=(1, 2)) - products.diagonal(dim1=1, dim2=2).sum(dim=1)
        return -(others / max(L * (L - 1), 1)).mean()
    return (u[:, :, None] - u[:, None]).square().mean(dim=-1).mean()


def _lead_means(encoded: Encoded, settings: Alignment) -> Tensor:
    if settings.tokens == "cls":
        assert encoded.cls is not None
        return encoded.cls
    if settings.tokens == "all_but_cls" or encoded.cls is None:
        return mean_of_real(encoded.tokens, encoded.real)
    tokens = torch.cat([encoded.cls[:, :, None], encoded.tokens], dim=2)
    real = None if encoded.real is None else nn.functional.pad(encoded.real, (1, 0), value=True)
    return mean_of_real(tokens, real)
