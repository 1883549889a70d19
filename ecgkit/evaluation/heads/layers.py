"""Fitted linear heads as torch modules, for export."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Linear(nn.Module):
    """A linear map of pooled features, followed by a sigmoid for classes.

    Args:
        weights: ``[C, D]``.
        bias: ``[C]``.
        constant: ``[C]``, 0 or 1 for a class that always has this probability, -1 for all others; None for numbers.
    """

    weights: Tensor
    bias: Tensor
    constant: Tensor

    def __init__(
        self, weights: NDArray[np.floating], bias: NDArray[np.floating], constant: NDArray[np.integer] | None
    ) -> None:
        super().__init__()
        self.classes = constant is not None
        self.register_buffer("weights", torch.from_numpy(np.ascontiguousarray(weights.T, np.float32)))
        self.register_buffer("bias", torch.from_numpy(bias.astype(np.float32)))
        fixed = np.full(len(bias), -1) if constant is None else constant
        self.register_buffer("constant", torch.from_numpy(fixed.astype(np.float32)))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return ``[B, C]`` from ``[B, D]``."""
        found = pooled @ self.weights + self.bias
        return torch.where(self.constant < 0, found.sigmoid(), self.constant) if self.classes else found


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
