"""JEPA: a predictor says what an averaged encoder makes of hidden tokens, from the tokens that are visible.

Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive Architecture, arXiv 2301.08243,
section 3 (smooth L1, targets after a layer norm without weights); for ECGs Weimann and Conrad, arXiv 2410.13867 (L1,
plain targets).
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision, precise
from ecgkit.nn.losses.records import mean_by_record


def normalized(targets: Tensor) -> Tensor:
    """Return targets ``[..., D]`` after a layer norm without weights."""
    return F.layer_norm(precise(targets), targets.shape[-1:])


@in_full_precision
def jepa_loss(predicted: Tensor, target: Tensor, hidden: Tensor, kind: Literal["l1", "smooth_l1"]) -> Tensor:
    """Return the mean over records of the mean error of hidden tokens; each record has the same weight.

    Args:
        predicted: ``[B, N, D]``.
        target: ``[B, N, D]``, without gradient.
        hidden: Bool ``[B, N]``, which tokens count.
        kind: ``l1``, the absolute error; ``smooth_l1``, its form that is quadratic below 1.
    """
    distance = F.l1_loss if kind == "l1" else F.smooth_l1_loss
    return mean_by_record(distance(predicted, target, reduction="none").mean(dim=-1), hidden)
