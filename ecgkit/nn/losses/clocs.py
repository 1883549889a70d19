"""CLOCS: views of one patient are alike, in space, time or both.

Kiyasseh, Zhu and Clifton, CLOCS: Contrastive Learning of Cardiac Signals Across Space, Time, and Patients, arXiv
2005.13249, section 4.3. With ``s_ij = cos(a_i, b_j) / T`` of two views, ``R_i = log sum_j exp s_ij`` and ``K_j = log
sum_i exp s_ij``, and the pairs U above and V below the diagonal whose rows are of one patient:

    D = mean_i (R_i - s_ii) + mean_j (K_j - s_jj)
    l(a, b) = [ D + mean_U (R_i - s_ij) + mean_V (K_j - s_ij) ] / (2 + [U not empty] + [V not empty])

The three losses of the paper differ only in the views: segments of a recording (CMSC), its leads (CMLC), or the leads
of its segments (CMSMLC).
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import unit
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def clocs_loss(embeddings: Tensor, patients: Tensor, temperature: float) -> Tensor:
    """Return the mean over all pairs of views of l, or 0 for one view.

    The released code keeps only the last pair of views. This is the mean over pairs, as the paper has it.

    Args:
        embeddings: ``[N, D, V]``.
        patients: int ``[N]``, equal for rows of one patient.
        temperature: T.
    """
    V = embeddings.shape[-1]
    views = unit(embeddings.permute(2, 0, 1))  # (V, N, D)
    a, b = torch.triu_indices(V, V, 1, device=views.device)
    if not len(a):
        return views.sum() * 0.0
    s = views[a] @ views[b].transpose(1, 2) / temperature  # (pairs, N, N)
    rows, columns = s.logsumexp(2), s.logsumexp(1)
    own = s.diagonal(dim1=1, dim2=2)
    same = patients[:, None] == patients
    above, below = same.triu(1), same.tril(-1)
    first = ((rows[:, :, None] - s) * above).sum((1, 2)) / above.sum().clamp(min=1)
    second = ((columns[:, None] - s) * below).sum((1, 2)) / below.sum().clamp(min=1)
    terms = 2 + above.any().to(s.dtype) + below.any().to(s.dtype)
    return (((rows - own).mean(1) + (columns - own).mean(1) + first + second) / terms).mean()
