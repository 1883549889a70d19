"""MoCo-v3: each query must find the averaged network's key of the other view among the keys of the batch.

Chen, Xie and He, An Empirical Study of Training Self-Supervised Vision Transformers, arXiv 2104.02057, equation 1 and
algorithm 1. There is no queue, and no query is a negative:

    l(q, k) = 2 T mean_i CE(cos(q_i, k_j) / T over j; i);    L = l(q_v, k_w) + l(q_w, k_v)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.losses.cosine import cosines
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def key_contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """Return l of queries ``[N, D]`` and keys ``[N, D]``, row by row of the same record."""
    scores = cosines(queries, keys) / temperature
    own = torch.arange(len(queries), device=queries.device)
    return 2 * temperature * F.cross_entropy(scores, own)


def moco_v3_loss(queries: tuple[Tensor, Tensor], keys: tuple[Tensor, Tensor], temperature: float) -> Tensor:
    """Return the loss.

    Args:
        queries: ``[N, D]`` of the first and of the second view.
        keys: ``[N, D]`` of the first and of the second view, without gradient.
        temperature: T.
    """
    return key_contrast(queries[0], keys[1], temperature) + key_contrast(queries[1], keys[0], temperature)
