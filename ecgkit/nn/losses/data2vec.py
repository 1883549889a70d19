"""data2vec: the student says for masked tokens what the teacher's last layers make of the whole input.

Baevski et al., data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language, arXiv
2202.03555, section 3.3. With the outputs A_1 .. A_K of the teacher's last K layers, each normalised:

    y = mean_l A~_l;    L = s mean over masked tokens of the sum over dimensions of d_beta(x - y),  s = 1 / sqrt(D)
    d_beta(e) = e^2 if beta is 0; otherwise e^2 / (2 beta) if |e| < beta, |e| - beta / 2 if not
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.losses.precision import in_full_precision

Norm = Literal["instance", "layer", "none"]
EPS = 1e-5


@in_full_precision
def layer_targets(layers: Tensor, norm: Norm, real: Tensor | None = None, *, norm_targets: bool = False) -> Tensor:
    """Return the targets y ``[B, N, D]``.

    Args:
        layers: ``[K, B, N, D]``, outputs of the teacher's last blocks.
        norm: ``instance``: per record and channel over tokens; ``layer``: per token over channels; ``none``.
        real: Bool ``[B, N]``, False for padding, which an instance norm leaves out. None if all tokens are real.
        norm_targets: Whether y goes through a layer norm without weights once more.
    """
    if norm == "layer":
        layers = F.layer_norm(layers, layers.shape[-1:], eps=EPS)
    elif norm == "instance":
        layers = _over_tokens(layers, torch.ones_like(layers[0, ..., 0], dtype=torch.bool) if real is None else real)
    y = layers.mean(0)
    return F.layer_norm(y, y.shape[-1:], eps=EPS) if norm_targets else y


def _over_tokens(layers: Tensor, real: Tensor) -> Tensor:
    """Standardise each channel over the real tokens, with the biased variance."""
    weight = real[..., None].to(layers.dtype)
    count = weight.sum(-2, keepdim=True).clamp(min=1)
    centred = (layers - (layers * weight).sum(-2, keepdim=True) / count) * weight
    return centred / (centred.square().sum(-2, keepdim=True) / count + EPS).sqrt()


@in_full_precision
def token_errors(predicted: Tensor, targets: Tensor, beta: float, scale: float | None = None) -> Tensor:
    """Return the scaled sum over dimensions of d_beta of every token, ``[..., D] -> [...]``.

    Args:
        predicted: ``[..., D]``.
        targets: ``[..., D]``.
        beta: 0 for the plain square.
        scale: s; None for ``1 / sqrt(D)``.
    """
    error = predicted - targets
    distance = error.square() if beta == 0 else F.smooth_l1_loss(predicted, targets, reduction="none", beta=beta)
    return distance.sum(-1) * (predicted.shape[-1] ** -0.5 if scale is None else scale)


@torch.no_grad()
@in_full_precision
def spread(tokens: Tensor) -> Tensor:
    """Return the mean over dimensions of ``sqrt(var + 1e-6)`` over tokens ``[n, D]``; near 0 after a collapse."""
    return (tokens.var(0) + 1e-6).sqrt().mean()
