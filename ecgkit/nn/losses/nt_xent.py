"""NT-Xent: each view must find the other view of its record among all other views of the batch.

Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (SimCLR), arXiv 2002.05709, equation
1. With views a_i and b_i of n records and ``s(x, y) = cos(x, y) / T``:

    L = 1 / 2n sum_i [ CE(s(a_i, b_j) over j, s(a_i, a_j) over j != i; s(a_i, b_i))
                     + CE(s(b_i, a_j) over j, s(b_i, b_j) over j != i; s(b_i, a_i)) ]
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import cosines
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return the loss of two views; 0 for one record.

    Args:
        a: ``[N, D]``, one view of each record.
        b: ``[N, D]``, the other.
        temperature: T.
    """
    views = torch.cat([a, b])
    scores = cosines(views, views) / temperature  # (2N, 2N)
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    partner = torch.arange(len(views), device=views.device).roll(len(a))
    return torch.nn.functional.cross_entropy(scores.masked_fill(itself, -torch.inf), partner)
