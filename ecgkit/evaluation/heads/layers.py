"""Small torch modules of fitted heads, which explanations differentiate and an export writes."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

CONSTANT = 30.0  # logit of a label that always was, or never was, true in training


class Linear(nn.Module):
    """A linear map of pooled features in double precision.

    Args:
        weights: ``[C, D]``.
        bias: ``[C]``.
        constant: ``[C]``, 0 or 1 for a class that always has this label, -1 for all others; None for numbers.
    """

    weights: Tensor
    bias: Tensor
    constant: Tensor

    def __init__(
        self, weights: NDArray[np.floating], bias: NDArray[np.floating], constant: NDArray[np.integer] | None
    ) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(np.ascontiguousarray(weights.T, np.float64)))
        self.register_buffer("bias", torch.from_numpy(bias.astype(np.float64)))
        fixed = np.full(len(bias), -1) if constant is None else constant
        self.register_buffer("constant", torch.from_numpy(fixed.astype(np.float64)))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return ``[B, C]`` from ``[B, D]``."""
        found = pooled.to(self.weights.dtype) @ self.weights + self.bias
        return torch.where(self.constant < 0, found, CONSTANT * (2 * self.constant - 1))


class LogOdds(nn.Module):
    """The log-odds of scores."""

    def forward(self, scores: Tensor) -> Tensor:
        """Return ``[B, C]`` from scores ``[B, C]`` in [0, 1]."""
        return scores.clamp(1e-6, 1 - 1e-6).logit()


class Probabilities(nn.Module):
    """A module of logits, followed by a sigmoid.

    Args:
        logits: The module.
    """

    def __init__(self, logits: nn.Module) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return probabilities ``[B, C]``."""
        found: Tensor = self.logits(*inputs).sigmoid()
        return found
