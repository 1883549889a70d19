"""MMVM's alignment of leads, as MVMAE (github.com/agostini335/MVMAE) weighs it over epochs."""

import math

import torch
from torch import Tensor, nn

from ecgkit.recipe import Recipe
from ecgkit_lamae.config import Alignment
from ecgkit_lamae.encoder import Encoded, mean_of_real


class AlignmentWeight(nn.Module):
    """The weight beta(t) at epoch t: ``2 sigmoid(s (t - t_mid))``, held at its first value through the warm-up.

    Steps are counted in a buffer, so that a run that is taken up again goes on where it was.
    """

    step: Tensor
    steps_an_epoch: Tensor

    def __init__(self, settings: Alignment, recipe: Recipe) -> None:
        super().__init__()
        self.settings = settings
        self.batch_size = recipe.batch_size
        self.warmup = recipe.warmup_epochs
        self.middle = int(self.warmup + (recipe.epochs - self.warmup) / 2)
        self.slope = 9 / max(recipe.epochs - self.warmup, 1) if settings.slope is None else settings.slope
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer("steps_an_epoch", torch.ones((), dtype=torch.long))

    def set_records(self, records: int) -> None:
        """Learn how many records an epoch has."""
        self.steps_an_epoch.fill_(max(1, math.ceil(records / self.batch_size)))

    def weight(self, training: bool) -> Tensor:
        """Return the weight of this step, and count it if it is one of training."""
        epoch = self.step / self.steps_an_epoch
        if training:
            self.step += 1
        return self.at(epoch)

    def at(self, epoch: Tensor) -> Tensor:
        """Return the weight at an epoch."""
        after = torch.sigmoid(self.slope * (epoch - self.middle))
        before = torch.sigmoid(torch.full_like(epoch, -self.slope * self.middle, dtype=after.dtype))
        return 2 * torch.where(epoch < self.warmup, before, after)


def alignment_loss(encoded: Encoded, settings: Alignment) -> Tensor:
    """Return how far the leads' means are apart, over the pairs of leads that are there.

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
