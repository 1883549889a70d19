"""SimSiam: a prediction from one view must point where the projection of the other view points.

Chen and He, Exploring Simple Siamese Representation Learning, arXiv 2011.10566, equation 2. With projections z and
predictions p of views v and w, and sg for a stopped gradient:

    L = -1/2 mean_i [ cos(p_v, sg(z_w)) + cos(p_w, sg(z_v)) ]
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import paired_cosine, unit
from ecgkit.nn.losses.precision import in_full_precision


def simsiam_loss(predicted: tuple[Tensor, Tensor], projected: tuple[Tensor, Tensor]) -> Tensor:
    """Return the loss, from -1 to 1.

    Args:
        predicted: ``[B, D]`` of the first and of the second view.
        projected: ``[B, D]`` of the first and of the second view; their gradient is stopped.
    """
    (p1, p2), (z1, z2) = predicted, (z.detach() for z in projected)
    return -(paired_cosine(p1, z2).mean() + paired_cosine(p2, z1).mean()) / 2


@torch.no_grad()
@in_full_precision
def output_deviation(z: Tensor) -> Tensor:
    """Return the mean over dimensions of the standard deviation of u(z): about 1 / sqrt(D), or 0 after a collapse.

    Args:
        z: ``[B, D]``.
    """
    return unit(z).std(0, correction=0).mean()
