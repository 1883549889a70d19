"""Differential attention: the difference of two attentions, so that what both attend to cancels.

Ye et al., Differential Transformer, arXiv 2410.05258, in the form that the released code of arXiv 2411.00755 has. Of
2h sub-heads of width e = D / (2h), with values of h heads of width 2e, head j is

    ((S_2j - lambda S_2j+1) v_j) -> RMSNorm * (1 - l0),   S = softmax(q k^T / sqrt(e)),
    lambda = exp(lq1 . lk1) - exp(lq2 . lk2) + l0,        l0 = 0.8 - 0.6 exp(-0.3 n) in block n.
"""

import math

import torch
from torch import Tensor, nn

from ecgkit.nn.attention import WatchedAttention, attention_weights

NORM_EPS = 1e-5
LAMBDA_STD = 0.1


def initial_lambda(depth: int) -> float:
    """Return l0 of block `depth`, from 0."""
    return 0.8 - 0.6 * math.exp(-0.3 * depth)


class DifferentialAttention(WatchedAttention):
    """See the module; a watcher gets the differences ``[B, h, N, N]``, whose rows sum to 1 - lambda.

    Args:
        width: D.
        heads: h.
        depth: The block's number n, from 0.
    """

    def __init__(self, *, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.heads = heads
        self.initial = initial_lambda(depth)
        e = width // (2 * heads)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.lambda_q1, self.lambda_k1, self.lambda_q2, self.lambda_k2 = (
            nn.Parameter(torch.empty(e).normal_(std=LAMBDA_STD)) for _ in range(4)
        )
        self.subln = nn.RMSNorm(2 * e, eps=NORM_EPS)

    def share(self) -> Tensor:
        """Return lambda, the factor with which the second attention is subtracted from the first."""
        first, second = self.lambda_q1 @ self.lambda_k1, self.lambda_q2 @ self.lambda_k2
        return first.exp() - second.exp() + self.initial

    def weights(self, x: Tensor) -> Tensor:
        """Return ``S_2j - lambda S_2j+1``, ``[B, h, N, N]``."""
        q, k = (self._split(project(x), 2 * self.heads) for project in (self.q_proj, self.k_proj))
        both = torch.unflatten(attention_weights(q, k), 1, (self.heads, 2))  # (B, h, 2, N, N)
        return both[:, :, 0] - self.share() * both[:, :, 1]

    def forward(self, x: Tensor) -> Tensor:
        """``[B, N, D] -> [B, N, D]``."""
        if self.watcher is not None:
            difference = self.weights(x)
            self.watcher(difference.detach())
            out = difference @ self._split(self.v_proj(x), self.heads)
        else:
            out = self._fused(x)
        out = self.subln(out) * (1 - self.initial)
        merged: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return merged

    def _fused(self, x: Tensor) -> Tensor:
        """Return the same products without keeping the weights: each attention is applied to the values by itself."""
        q, k = (self._split(project(x), 2 * self.heads) for project in (self.q_proj, self.k_proj))
        v = self._split(self.v_proj(x), self.heads).repeat_interleave(2, dim=1)  # (B, 2h, N, 2e)
        first, second = torch.unflatten(self.attend(q, k, v), 1, (self.heads, 2)).unbind(dim=2)
        return first - self.share() * second

    def _split(self, x: Tensor, heads: int) -> Tensor:
        return torch.unflatten(x, -1, (heads, -1)).transpose(1, 2)  # (B, heads, N, width of a head)
