"""Query network: one score a question, by attention of question embeddings to a record's tokens.

Zhang et al., KAD, arXiv 2302.14042 (its released code at reduced width). Pre-norm decoder layers; one LayerNorm is
shared by memory, queries and output. No positions, so neither the order of queries nor that of tokens matters.
B records, Q queries, N tokens, D width.
"""

import torch
from torch import Tensor, nn


class QueryLayer(nn.Module):
    """``x += SelfAttention(LN(x)); x += CrossAttention(LN(x), M); x += FFN(LN(x))``.

    Args:
        width: D.
        heads: Attention heads.
        hidden: Width inside the FFN.
        dropout: On attention weights, residuals and the hidden layer.
    """

    def __init__(self, *, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, blocked: Tensor | None, alone: Tensor | None) -> Tensor:
        """``[B, Q, D] -> [B, Q, D]``; `blocked` is True where a token is padding, `alone` where queries are apart."""
        u = self.norm1(x)
        x = x + self.dropout(self.self_attn(u, u, u, attn_mask=alone, need_weights=False)[0])
        x = x + self.dropout(self.attend(x, memory, blocked, need_weights=False)[0])
        hidden = self.dropout(torch.relu(self.linear1(self.norm3(x))))
        return x + self.dropout(self.linear2(hidden))

    def attend(
        self, x: Tensor, memory: Tensor, blocked: Tensor | None, *, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Return the cross-attention's output and, where asked for, its weights ``[B, Q, N]``, mean over heads."""
        out: tuple[Tensor, Tensor | None] = self.multihead_attn(
            self.norm2(x), memory, memory, key_padding_mask=blocked, need_weights=need_weights
        )
        return out


class QueryNetwork(nn.Module):
    """Queries and tokens to one logit a query.

    Args:
        width: D of queries and memory.
        layers: Decoder layers.
        heads: Attention heads.
        hidden: Width inside the FFN.
        dropout: In the layers and before the output.
        outputs: Logits a query.
    """

    def __init__(
        self, *, width: int, layers: int = 4, heads: int = 4, hidden: int = 1024, dropout: float = 0.1, outputs: int = 1
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            QueryLayer(width=width, heads=heads, hidden=hidden, dropout=dropout) for _ in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)
        self.apply(_initialise)

    def forward(
        self, queries: Tensor, memory: Tensor, real: Tensor | None = None, *, independent: bool = False
    ) -> Tensor:
        """Score every query on every record.

        Args:
            queries: ``[Q, D]``, the same for all records.
            memory: ``[B, N, D]``.
            real: Bool ``[B, N]``, False where a token is padding; None if all are real.
            independent: Let no query see another, so that a score is the same whatever else is asked.

        Returns:
            ``[B, Q]``, or ``[B, Q, outputs]`` where there are several.
        """
        logits: Tensor = self.head(self.dropout(self.norm(self.decode(queries, memory, real, independent=independent))))
        return logits.squeeze(-1) if logits.shape[-1] == 1 else logits

    def decode(
        self, queries: Tensor, memory: Tensor, real: Tensor | None = None, *, independent: bool = False
    ) -> Tensor:
        """Return the last layer's output ``[B, Q, D]``, before the shared norm; arguments as in `forward`."""
        x, memory, blocked, alone = self._inputs(queries, memory, real, independent)
        for layer in self.layers:
            x = layer(x, memory, blocked, alone)
        return x

    def cross_attention(self, queries: Tensor, memory: Tensor, real: Tensor | None = None) -> Tensor:
        """Return where the last layer looks, ``[B, Q, N]``, mean over heads: which leads and when."""
        x, memory, blocked, alone = self._inputs(queries, memory, real, False)
        for layer in self.layers[:-1]:
            x = layer(x, memory, blocked, alone)
        last = self.layers[-1]
        assert isinstance(last, QueryLayer)
        u = last.norm1(x)
        x = x + last.self_attn(u, u, u, need_weights=False)[0]
        weights = last.attend(x, memory, blocked, need_weights=True)[1]
        assert weights is not None
        return weights

    def _inputs(
        self, queries: Tensor, memory: Tensor, real: Tensor | None, independent: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        x = self.norm(queries).expand(len(memory), -1, -1)
        alone = ~torch.eye(len(queries), dtype=torch.bool, device=queries.device) if independent else None
        return x, self.norm(memory), None if real is None else ~real, alone


def _initialise(module: nn.Module) -> None:
    """Normal weights of deviation 0.02 and zero biases, as KAD has them."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.MultiheadAttention):
        nn.init.normal_(module.in_proj_weight, std=0.02)
        nn.init.normal_(module.out_proj.weight, std=0.02)
