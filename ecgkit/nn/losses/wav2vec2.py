"""wav2vec 2.0: a masked token must find its own quantised target among those of other masked tokens of its record.

Baevski et al., wav2vec 2.0, arXiv 2006.11477, equations 3 and 4, as ECG-FM (arXiv 2408.05178) trains with it. With the
prediction c_t, its target q_t and the negatives Q_t:

    contrast   CE([cos(c_t, q_t), cos(c_t, q) over q in Q_t] / T; 0);  a negative that is the same codes is left out
    diversity  (G V - perplexity) / (G V),  perplexity = sum_g exp(-sum_v p_gv log(p_gv + 1e-7))
    penalty    mean of the squared outputs of the convolutions

The published total adds these over all masked tokens, with the weights 0.1 for the diversity and 10 for the penalty.
"""

import torch
from torch import Tensor

from ecgkit.nn.losses.cosine import unit
from ecgkit.nn.losses.precision import in_full_precision

EPS = 1e-7


@in_full_precision
def contrast_logits(predicted: Tensor, targets: Tensor, codes: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the logits of each masked token, ``[B, M, 1 + n]``; the true target comes first.

    Args:
        predicted: ``[B, M, D]``.
        targets: ``[B, M, D]``, the quantised targets.
        codes: int ``[B, M, G]``, the codes that a target is made of.
        negatives: int ``[B, M, n]``, numbers of targets among all ``B M``.
        temperature: T.
    """
    near, other = unit(predicted) / temperature, unit(targets).flatten(0, 1)[negatives]  # (B, M, n, D)
    own = (near * unit(targets)).sum(-1, keepdim=True)
    alike = (codes.flatten(0, 1)[negatives] == codes[:, :, None]).all(-1)
    false = torch.einsum("bmd,bmnd->bmn", near, other).masked_fill(alike, -torch.inf)
    return torch.cat([own, false], dim=-1)


@in_full_precision
def masked_contrast(predicted: Tensor, targets: Tensor, codes: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of each masked token, ``[B, M]``; see `contrast_logits`."""
    logits = contrast_logits(predicted, targets, codes, negatives, temperature)
    return logits.logsumexp(-1) - logits[..., 0]


@in_full_precision
def perplexity(shares: Tensor) -> Tensor:
    """Return how many codes are used, over all groups, from the share of each code ``[G, V]``: G to G V."""
    return (-(shares * (shares + EPS).log()).sum(-1)).exp().sum()


@in_full_precision
def unused(shares: Tensor) -> Tensor:
    """Return the share of the codes that is not used, 0 to 1: the diversity loss of `shares` ``[G, V]``."""
    return 1 - perplexity(shares) / shares.numel()


@in_full_precision
def size_penalty(features: Tensor) -> Tensor:
    """Return the mean square of the convolutions' outputs."""
    return features.square().mean()
