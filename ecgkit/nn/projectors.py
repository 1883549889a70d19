"""The heads of self-supervised learning: projectors and predictors of linear layers, and DINO's prototypes.

Chen et al., SimCLR, arXiv 2002.05709, section 4.2; Grill et al., BYOL, arXiv 2006.07733, section 3.2; Chen et al.,
MoCo-v3, arXiv 2104.02057; Chen and He, SimSiam, arXiv 2011.10566; Caron et al., DINO, arXiv 2104.14294, appendix C.
A linear layer has a bias exactly where no BatchNorm follows, unless `End` says otherwise. ``[B, D] -> [B, out]``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ecgkit.nn.losses.cosine import unit

End = Literal["bias", "no-bias", "norm", "plain-norm", "biased-plain-norm"]


def projector(widths: Sequence[int], end: End = "bias") -> nn.Sequential:
    """Return Linear, BatchNorm and ReLU for each width but the last, and a last Linear.

    Args:
        widths: Width of the input, of each hidden layer, and of the output.
        end: What the last layer has. ``bias``: a bias. ``no-bias``: none. ``norm``: a BatchNorm behind it.
            ``plain-norm``: a BatchNorm without weights. ``biased-plain-norm``: that, and a frozen bias before it, as
            in SimSiam's code.
    """
    layers: list[nn.Module] = []
    *hidden, (before, out) = pairwise(widths)
    for a, b in hidden:
        layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU()]
    last = nn.Linear(before, out, bias=end in ("bias", "biased-plain-norm"))
    if end == "biased-plain-norm":
        last.bias.requires_grad_(False)
    layers.append(last)
    if end.endswith("norm"):
        layers.append(nn.BatchNorm1d(out, affine=end == "norm"))
    return nn.Sequential(*layers)


class PrototypeHead(nn.Module):
    """DINO's head: three linear layers with GELU, vectors of unit length, and their cosines with K prototypes.

    The published code normalises the weights of the last layer and freezes their lengths at 1. That is the same.

    Args:
        width: D of the input.
        hidden: Width of the hidden layers.
        bottleneck: Width of the space of the prototypes.
        prototypes: K.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck) / bottleneck**0.5)

    def forward(self, x: Tensor, *, still: bool = False) -> Tensor:
        """Return logits, ``[..., D] -> [..., K]``.

        Args:
            x: Features.
            still: Whether the gradient of the prototypes is 0, as in DINO's first epoch.
        """
        v = self.prototypes.detach() + 0.0 * self.prototypes if still else self.prototypes
        logits: Tensor = unit(self.mlp(x)) @ unit(v).T
        return logits
