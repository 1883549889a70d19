"""CMSC as fairseq-signals has it: segments of one patient find each other among all segments of the other time.

Kiyasseh et al., arXiv 2005.13249; Oh et al., Lead-agnostic Self-supervised Learning for Local and Global
Representations of Electrocardiogram, arXiv 2203.06889. With ``s_ij = cos(a_i, b_j) / T`` of first and second segments:

    L = 1/2 [ mean over cells of one patient of -log softmax_j(s_ij) + the same of the transpose ]
"""

from torch import Tensor

from ecgkit.nn.losses.cosine import cosines
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def cmsc_loss(first: Tensor, second: Tensor, patients: Tensor, temperature: float) -> Tensor:
    """Return the loss.

    Args:
        first: ``[N, D]``, embeddings of the first segment of each recording.
        second: ``[N, D]``, those of the second segment.
        patients: int ``[N]``, equal for recordings of one patient.
        temperature: T.
    """
    s, same = cosines(first, second) / temperature, patients[:, None] == patients
    rows, columns = -s.log_softmax(1), -s.log_softmax(0)
    return ((rows + columns) * same).sum() / (2 * same.sum())
