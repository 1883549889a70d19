"""Prediction of code numbers: HuBERT says for each token which cluster it belongs to, DinoSR which code.

Hsu et al., HuBERT, arXiv 2106.07447, equation 3, as HuBERT-ECG uses it; Liu et al., DinoSR, arXiv 2305.10005, equation
6. For a token with the prediction x and the code k:

    L = CE(l; k),    HuBERT: l_v = cos(x, e_v) / T for an embedding e_v per code;    DinoSR: l = W x / T
"""

import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.losses.cosine import unit
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def code_logits(predicted: Tensor, embeddings: Tensor, temperature: float) -> Tensor:
    """Return the scaled cosine of each prediction with each code, ``[..., D], [V, D] -> [..., V]``."""
    return unit(predicted) @ unit(embeddings).T / temperature


@in_full_precision
def code_errors(logits: Tensor, codes: Tensor) -> Tensor:
    """Return the cross-entropy of every token, ``[...]``. The caller takes the mean over those that count.

    Args:
        logits: ``[..., V]``.
        codes: int ``[...]``, the true code of each token.
    """
    return F.cross_entropy(logits.flatten(0, -2), codes.flatten(), reduction="none").view(codes.shape)
