"""Transformer blocks.

Vaswani et al., Attention Is All You Need, arXiv 1706.03762 (norm after each sub-layer); norm before each sub-layer as
in Dosovitskiy et al., An Image Is Worth 16x16 Words, arXiv 2010.11929. Tokens are ``[B, N, D]``.
"""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.attention import WatchedAttention

Activation = Literal["gelu", "relu"]


class Attention(WatchedAttention):
    """Multi-head self-attention with one projection for queries, keys and values.

    Args:
        width: D.
        heads: Number of heads.
        head_width: Width of a head; default D / heads.
        dropout: Share of the attention weights that is dropped in training.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        head_width: int | None = None,
        dropout: float = 0.0,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        inner = heads * (head_width or width // heads)
        self.qkv = nn.Linear(width, 3 * inner, bias=qkv_bias)
        self.proj = nn.Linear(inner, width)

    def forward(self, x: Tensor, allowed: Any = None) -> Tensor:
        """Attend among tokens, ``[B, N, D] -> [B, N, D]``.

        Args:
            x: ``[B, N, D]``.
            allowed: bool, broadcast to ``[B, heads, N queries, N keys]``; or float, added to the logits. None allows
                all.
        """
        q, k, v = self.project(x)
        return self.merge(self.attend(q, k, v, allowed, dropout=self.dropout if self.training else 0.0))

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values, each ``[B, heads, N, head_width]``."""
        B, N, _ = x.shape
        qkv = self.qkv(x).view(B, N, 3, self.heads, -1)  # (B, N, 3, heads, head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        return q, k, v

    def merge(self, out: Tensor) -> Tensor:
        """Join the heads and project, ``[B, heads, N, head_width] -> [B, N, D]``."""
        merged: Tensor = self.proj(out.transpose(1, 2).flatten(2))
        return merged


class Mlp(nn.Module):
    """Linear, activation, Linear, applied to each token, with dropout on the hidden layer."""

    def __init__(self, *, width: int, hidden: int, activation: Activation = "gelu", dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.activation = F.gelu if activation == "gelu" else F.relu
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """``[..., D] -> [..., D]``."""
        hidden = F.dropout(self.activation(self.fc1(x)), self.dropout, self.training)
        out: Tensor = self.fc2(hidden)
        return out


class Block(nn.Module):
    """``x += Attention(LN(x)); x += Mlp(LN(x))``, or with `post_norm` ``x = LN(x + Attention(x)); x = LN(x + Mlp(x))``.

    Args:
        width: D.
        heads: Number of attention heads.
        hidden: Width inside the Mlp.
        head_width: Width of a head; default D / heads.
        post_norm: Whether norms follow each sub-layer.
        activation: Activation of the Mlp.
        dropout: Dropout on attention weights, on the Mlp's hidden layer and on both residual branches.
        norm_eps: Epsilon of the norms.
        attention: Class of the attention layer.
        qkv_bias: Whether queries, keys and values have a bias.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        hidden: int,
        head_width: int | None = None,
        post_norm: bool = False,
        activation: Activation = "gelu",
        dropout: float = 0.0,
        norm_eps: float = 1e-5,
        attention: type[Attention] = Attention,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=norm_eps)
        bias = {} if qkv_bias else {"qkv_bias": False}  # a class of its own may know no such choice
        self.attn = attention(width=width, heads=heads, head_width=head_width, dropout=dropout, **bias)
        self.norm2 = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = Mlp(width=width, hidden=hidden, activation=activation, dropout=dropout)
        self.post_norm = post_norm
        self.dropout = dropout

    def forward(self, x: Tensor, allowed: Any = None) -> Tensor:
        """``[B, N, D] -> [B, N, D]``; for `allowed` see `forward` of the attention layer."""
        if self.post_norm:
            x = self.norm1(x + self._drop(self.attn(x, allowed)))
            return self.norm2(x + self._drop(self.mlp(x)))
        x = x + self._drop(self.attn(self.norm1(x), allowed))
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x
