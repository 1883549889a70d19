"""The two classifiers: head A on the CLS, head B on channels that a gate weighs for each class.

arXiv 2411.00755. Head B is the gated attention of Ilse et al., Attention-based Deep Multiple Instance Learning, arXiv
1802.04712, with channels as instances and one classifier per label. Channels are rows over the last stage's S tokens.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ClsHead(nn.Module):
    """Head A: ``Linear([wide, dropout(ReLU(Linear(CLS)))])``.

    Args:
        width: D.
        wide: Places of wide features.
        deep: Hidden width.
        classes: C.
        dropout: After the hidden layer.
        summaries: Number of CLS tokens, whose mean is read.
    """

    def __init__(self, *, width: int, wide: int, deep: int, classes: int, dropout: float, summaries: int = 1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, deep)
        self.fc2 = nn.Linear(wide + deep, classes)
        self.dropout = dropout
        self.summaries = summaries

    def forward(self, tokens: Tensor, wide: Tensor) -> Tensor:
        """Return logits ``[B, C]`` of tokens ``[B, S, D]``, the CLS first, and wide features ``[B, W]``."""
        deep = F.dropout(F.relu(self.fc1(tokens[:, : self.summaries].mean(dim=1))), self.dropout, self.training)
        logits: Tensor = self.fc2(torch.cat([wide.to(deep.dtype), deep], dim=-1))
        return logits


class GateHead(nn.Module):
    """Head B; see the module.

    Args:
        tokens: S, CLS included: it is part of the shapes.
        classes: C.
        dropout: On both branches of the gate and on what is classified.
    """

    def __init__(self, *, tokens: int, classes: int, dropout: float) -> None:
        super().__init__()
        half = tokens // 2
        self.wide_project = nn.Sequential(nn.Linear(1, half), nn.ReLU(), nn.Linear(half, tokens))
        self.attention_a, self.attention_b, self.rho = (nn.Linear(tokens, tokens) for _ in range(3))
        self.attention_c = nn.Linear(tokens, classes)
        self.weight = nn.Parameter(torch.empty(classes, tokens))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.dropout = dropout

    def rows(self, tokens: Tensor, wide: Tensor) -> Tensor:
        """Return the instances ``[B, W + D, S]``: a row a wide feature, then a row a channel."""
        return torch.cat([self.wide_project(wide.to(tokens.dtype)[..., None]), tokens.transpose(1, 2)], dim=1)

    def scores(self, rows: Tensor) -> Tensor:
        """Return the gate's scores ``[B, W + D, C]``, of which the softmax over rows is the weight of each row."""
        a, b = self.attention_a(rows).tanh(), self.attention_b(rows).sigmoid()
        scores: Tensor = self.attention_c(self._drop(a) * self._drop(b))
        return scores

    def forward(self, tokens: Tensor, wide: Tensor) -> Tensor:
        """Return logits ``[B, C]`` of tokens ``[B, S, D]`` and wide features ``[B, W]``."""
        rows = self.rows(tokens, wide)
        pooled = self.scores(rows).softmax(dim=1).transpose(1, 2) @ rows  # (B, C, S)
        return (self._drop(F.relu(self.rho(pooled))) * self.weight).sum(dim=-1) + self.bias

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)


def initialise_gate(head: Any) -> None:
    """Draw the gate's layers from N(0, 1 / fan-in), biases 0, after all else was drawn."""
    if isinstance(head, GateHead):
        for layer in (head.attention_a, head.attention_b, head.attention_c):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(layer.in_features))
            nn.init.zeros_(layer.bias)
