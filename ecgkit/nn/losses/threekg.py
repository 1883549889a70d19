"""3KG: embeddings of one patient find each other among those of other patients.

Gopal et al., 3KG: Contrastive Learning of 12-Lead Electrocardiograms using Physiologically-Inspired Augmentations,
arXiv 2106.04452, section 4. For each ordered pair i != j of one patient, with ``s_ij = cos(z_i, z_j) / T``:

    l_ij = CE([s_ij, s_ik over all k of other patients]; 0)

Other embeddings of the same patient are in no denominator. The loss is the mean over pairs.
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import cosines
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def threekg_loss(z: Tensor, patients: Tensor, temperature: float) -> Tensor:
    """Return the loss; 0 if no two rows are of one patient.

    Args:
        z: ``[N, D]``, embeddings of all views of all records.
        patients: int ``[N]``, equal for rows of one patient.
        temperature: T.
    """
    s, same = cosines(z, z) / temperature, patients[:, None] == patients
    # The diagonal is no negative, so a batch of one patient still has a finite sum.
    others = s.masked_fill(same, torch.finfo(s.dtype).min).logsumexp(1, keepdim=True)
    pairs = same & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    return ((torch.logaddexp(s, others) - s) * pairs).sum() / pairs.sum().clamp(min=1)
