"""The temporal contrast of TS-TCC: the context of one view must find the later features of the other view.

Eldele et al., Time-Series Representation Learning via Temporal and Contextual Contrasting, arXiv 2106.14112, equation
1. With the context c_j of record j up to time t, and a linear map A_k per distance k = 1 .. K:

    L = -1 / (K B) sum_k sum_i log softmax_j(F_i(t + k) . A_k(c_j))[i]
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def temporal_contrast(later: Tensor, predicted: Tensor) -> Tensor:
    """Return the loss of one direction.

    Args:
        later: ``[N, K, C]``, features of the other view at the times t + 1 .. t + K.
        predicted: ``[N, K, C]``, the maps of each record's context.
    """
    scores = torch.einsum("ikc,jkc->kij", later, predicted)
    return -scores.log_softmax(-1).diagonal(dim1=1, dim2=2).mean()
