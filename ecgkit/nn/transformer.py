"""Pre-norm transformer blocks.

Vaswani et al., Attention Is All You Need, arXiv 1706.03762; norm before each sub-layer as in Dosovitskiy et al.,
An Image Is Worth 16x16 Words, arXiv 2010.11929. Tokens are ``[B, N, D]``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return ``softmax(q k^T / sqrt(d)) v``, by whatever is fastest here.

    On a CPU in reduced precision the plain formula is 2 to 7 times as fast as `scaled_dot_product_attention`, which
    has no kernel for it (``python benchmarks/training.py attention``); everywhere else that function is taken.

    Args:
        q: ``[..., N queries, d]``.
        k: ``[..., N keys, d]``.
        v: ``[..., N keys, d]``.
        allowed: Bool, broadcast to ``[..., N queries, N keys]``; None allows all.
    """
    if q.device.type != "cpu" or q.dtype not in (torch.bfloat16, torch.float16):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, float("-inf"))
    return scores.softmax(dim=-1, dtype=q.dtype) @ v


class Attention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values.

    Args:
        width: D.
        heads: Number of heads.
        head_width: Width of a head; D / heads unless given.
    """

    def __init__(self, *, width: int, heads: int, head_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * (head_width or width // heads)
        self.qkv = nn.Linear(width, 3 * inner)
        self.proj = nn.Linear(inner, width)

    def forward(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Attend among tokens, ``[B, N, D] -> [B, N, D]``.

        Args:
            x: ``[B, N, D]``.
            allowed: Bool, broadcast to ``[B, heads, N queries, N keys]``; None allows all.
        """
        B, N, _ = x.shape
        qkv = self.qkv(x).view(B, N, 3, self.heads, -1)  # (B, N, 3, heads, head_width)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, head_width)
        out = attend(q, k, v, allowed)
        return self.proj(out.transpose(1, 2).reshape(B, N, -1))


class Mlp(nn.Module):
    """Linear, GELU, Linear, applied to each token."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., D] -> [..., D]``."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """``x += Attention(LN(x)); x += Mlp(LN(x))``.

    Args:
        width: D.
        heads: Number of attention heads.
        hidden: Width inside the Mlp.
        head_width: Width of a head; D / heads unless given.
    """

    def __init__(self, *, width: int, heads: int, hidden: int, head_width: int | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width=width, heads=heads, head_width=head_width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width=width, hidden=hidden)

    def forward(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        """``[B, N, D] -> [B, N, D]``; `allowed` as in `Attention.forward`."""
        x = x + self.attn(self.norm1(x), allowed)
        return x + self.mlp(self.norm2(x))
