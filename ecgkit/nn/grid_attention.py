"""Sparse attention over a grid of leads and beats with one summary token per lead.

*Tracing the Heart's Pathways*, arXiv 2512.24002, figure of the decoder's mask. A hidden beat sees the same beat in all
leads (conduction) and its own lead's summary (view). A visible beat sees the visible beats and its lead's summary. A
summary sees itself and its own lead's beats. Tokens are ordered: L summaries, then L x S beats, lead by lead.

The dense form multiplies all (L + L S)^2 pairs and discards most of them. `GridAttention` computes only the pairs that
the rule allows, with one softmax over each query's allowed keys: L (S + 1) scores for the summaries, S L (L + 1) for
beats by slot, and k (k + 1) among the k visible beats. The result is the same.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ecgkit.nn.transformer import Attention


@dataclass(frozen=True)
class GridRule:
    """The hidden, visible and real beats of a grid.

    Args:
        ids_keep: ``[B, k]``, index of each visible beat among the L S.
        hidden: bool ``[B, L, S]``, True for beats that are not visible.
        real: bool ``[B, L, S]``, False for empty slots, which no other token may attend to; None if all are real.
    """

    ids_keep: Tensor
    hidden: Tensor
    real: Tensor | None = None

    def dense(self) -> Tensor:
        """Return the rule as bool ``[B, 1, L + L S, L + L S]``, True where a query (row) may see a key (column)."""
        B, L, S = self.hidden.shape
        device = self.hidden.device
        token = torch.arange(L * S, device=device)
        lead, slot = token // S, token % S
        hidden = self.hidden.flatten(1)
        own = lead[:, None] == torch.arange(L, device=device)  # (L S, L): a beat and the summary of its lead
        same_slot = slot[:, None] == slot
        beats = torch.where(hidden[:, :, None], same_slot, ~hidden[:, None])  # (B, L S, L S)
        summaries = own.T.expand(B, -1, -1)
        if self.real is not None:
            real = self.real.flatten(1)[:, None]
            summaries, beats = summaries & real, beats & (real | (token[:, None] == token))
        top = torch.cat([torch.eye(L, dtype=torch.bool, device=device).expand(B, -1, -1), summaries], dim=2)
        return torch.cat([top, torch.cat([own.expand(B, -1, -1), beats], dim=2)], dim=1)[:, None]


class GridAttention(Attention):
    """Multi-head self-attention that takes a `GridRule` instead of a mask. With any other mask it is dense."""

    def forward(self, x: Tensor, allowed: Any = None) -> Tensor:
        """Attend among tokens, ``[B, L + L S, D] -> [B, L + L S, D]``.

        Args:
            x: The tokens.
            allowed: A `GridRule`, or any mask that `Attention.forward` takes.
        """
        if not isinstance(allowed, GridRule):
            return super().forward(x, allowed)
        if self.watcher is not None:
            return super().forward(x, allowed.dense())
        return self.merge(grid_attention(*self.project(x), allowed, dropout=self.dropout if self.training else 0.0))


def grid_attention(q: Tensor, k: Tensor, v: Tensor, rule: GridRule, *, dropout: float = 0.0) -> Tensor:
    """Return attention under a `GridRule`, ``[B, heads, L + L S, d]``. Only allowed pairs are computed.

    Args:
        q: Queries ``[B, heads, L + L S, d]``.
        k: Keys ``[B, heads, L + L S, d]``.
        v: Values ``[B, heads, L + L S, d]``.
        rule: The rule.
        dropout: Share of the weights that is dropped.
    """
    _, L, S = rule.hidden.shape
    q = q * q.shape[-1] ** -0.5
    (q_cls, q_beat), (k_cls, k_beat), (v_cls, v_beat) = (_split(x, L, S) for x in (q, k, v))
    real = rule.real
    # Summaries see themselves and the S beats of their lead.
    to_self = (q_cls * k_cls).sum(-1, keepdim=True)  # (B, h, L, 1)
    # Products with one row are written as sums: a batch of tiny matrix products has too much overhead.
    to_lead = (k_beat * q_cls[..., None, :]).sum(-1)  # (B, h, L, S)
    w_self, w_lead = _softmax(to_self, _block(to_lead, real[:, None] if real is not None else None), dropout)
    cls = w_self * v_cls + (w_lead[..., None] * v_beat).sum(-2)
    # Beats by slot see the same slot of all leads, and the summary of their own lead.
    to_own = (q_beat * k_cls[..., None, :]).sum(-1)  # (B, h, L, S)
    q_slot, k_slot, v_slot = (x.transpose(2, 3) for x in (q_beat, k_beat, v_beat))  # (B, h, S, L, d)
    there = None if real is None else _or_self(real.transpose(1, 2))[:, None]  # (B, 1, S, L, L)
    w_slot, w_own = _softmax(_block(q_slot @ k_slot.mT, there), to_own.transpose(2, 3)[..., None], dropout)
    beats = (w_slot @ v_slot + w_own * v_cls[:, :, None]).transpose(2, 3).flatten(2, 3)  # (B, h, L S, d)
    # Visible beats see each other, and the summary of their own lead.
    ids = rule.ids_keep[:, None, :, None]
    q_see, k_see, v_see = (_pick(x.flatten(2, 3), ids) for x in (q_beat, k_beat, v_beat))  # (B, h, k, d)
    there = None if real is None else _or_self(real.flatten(1).gather(1, rule.ids_keep))[:, None]
    w_see, w_own = _softmax(_block(q_see @ k_see.mT, there), _pick(to_own.flatten(2)[..., None], ids), dropout)
    seen = w_see @ v_see + w_own * _pick(v_cls, ids // S)
    beats = beats.scatter(2, ids.expand_as(seen), seen)
    return torch.cat([cls, beats], dim=2)


def _split(x: Tensor, L: int, S: int) -> tuple[Tensor, Tensor]:
    """Split off summaries ``[B, h, L, d]`` from beats ``[B, h, L, S, d]``."""
    cls, beats = torch.split(x, [L, L * S], dim=2)
    return cls, beats.reshape(*beats.shape[:2], L, S, -1)


def _or_self(real: Tensor) -> Tensor:
    """Return which of n tokens each token may see: the real ones and itself; ``[..., n] -> [..., n, n]``."""
    return real[..., None, :] | torch.eye(real.shape[-1], dtype=torch.bool, device=real.device)


def _block(logits: Tensor, there: Tensor | None) -> Tensor:
    return logits if there is None else logits.masked_fill(~there, -torch.inf)


def _pick(x: Tensor, ids: Tensor) -> Tensor:
    """Pick tokens ``[B, h, n, d]`` by index ``[B, 1, k, 1]``."""
    return x.gather(2, ids.expand(-1, x.shape[1], -1, x.shape[-1]))


def _softmax(a: Tensor, b: Tensor, dropout: float) -> tuple[Tensor, Tensor]:
    """Take one softmax over two groups of logits, and return the weights of each group."""
    weights = F.dropout(torch.cat([a, b], dim=-1).softmax(dim=-1), dropout)
    first, second = torch.split(weights, [a.shape[-1], b.shape[-1]], dim=-1)
    return first, second
