"""Scaled dot-product attention in one function, and a way to watch its weights.

Vaswani et al., Attention Is All You Need, arXiv 1706.03762, section 3.2.1. Queries, keys and values are
``[B, heads, N, d]``.
"""

import contextlib
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# On a CPU in reduced precision, torch's function has no kernel of its own. There the written-out formula is 2 to 5
# times as fast (``python benchmarks/training.py attention``) up to this many keys; with more, its weights need too much
# memory.
PLAIN_KEYS = 1024

Watcher = Callable[[Tensor], None]


class WatchedAttention(nn.Module):
    """An attention layer whose weights can be watched; see `watching`."""

    watcher: Watcher | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None, *, dropout: float = 0.0) -> Tensor:
        """Return ``softmax(q k^T / sqrt(d)) v``, ``[B, heads, N, d]``.

        Args:
            q: Queries ``[B, heads, N, d]``.
            k: Keys ``[B, heads, M, d]``.
            v: Values ``[B, heads, M, d]``.
            allowed: Broadcast to ``[B, heads, N, M]``: bool, True where a query may see a key; or float, added to the
                logits. None allows all.
            dropout: Share of the weights that is dropped.
        """
        if self.watcher is None:
            return attend(q, k, v, allowed, dropout=dropout)
        weights = attention_weights(q, k, allowed)
        self.watcher(weights.detach())
        return F.dropout(weights, dropout) @ v


def attend(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None, *, dropout: float = 0.0) -> Tensor:
    """Return ``softmax(q k^T / sqrt(d)) v`` by the fastest way on this device; see `WatchedAttention.attend`."""
    reduced = q.device.type == "cpu" and q.dtype in (torch.bfloat16, torch.float16)
    if reduced and k.shape[-2] <= PLAIN_KEYS:
        return F.dropout(attention_weights(q, k, allowed), dropout) @ v
    mask = allowed if allowed is None or allowed.dtype == torch.bool else allowed.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def attention_weights(q: Tensor, k: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return ``softmax(q k^T / sqrt(d))``, ``[B, heads, N, M]``; see `WatchedAttention.attend` for `allowed`."""
    logits = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    if allowed is None:
        return logits.softmax(dim=-1)
    if allowed.dtype == torch.bool:
        return logits.masked_fill(~allowed, -torch.inf).softmax(dim=-1)
    return (logits + allowed.to(logits.dtype)).softmax(dim=-1)


@contextlib.contextmanager
def watching(model: nn.Module, watch: Callable[[int, Tensor], None]) -> Iterator[int]:
    """Call ``watch(i, weights)`` whenever the i-th attention layer of a model is used inside the block.

    Layers are numbered in the order of ``model.modules()``; weights are ``[B, heads, N queries, M keys]``.

    Yields:
        The number of attention layers.
    """
    layers = [module for module in model.modules() if isinstance(module, WatchedAttention)]
    for i, layer in enumerate(layers):
        layer.watcher = lambda weights, i=i: watch(i, weights)
    try:
        yield len(layers)
    finally:
        for layer in layers:
            layer.watcher = None
