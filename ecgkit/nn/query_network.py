"""Query network: attention of question embeddings to a record's tokens gives one score per question.

Zhang et al., KAD, arXiv 2302.14042 (its released code at reduced width). Decoder layers are pre-norm; memory, queries
and output share one LayerNorm. There are no positions, so neither the order of queries nor that of tokens matters.
B records, Q queries, N tokens, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.attention import WatchedAttention, attend, attention_weights
from ecgkit.nn.dropout import dropout


class QueryAttention(WatchedAttention):
    """Multi-head attention of queries, with the parameters and names of `torch.nn.MultiheadAttention`.

    Queries that are the same for all records are given as ``[1, Q, D]`` and projected once. A watcher gets weights of
    one record then, too.

    Args:
        width: D.
        heads: Number of heads.
        dropout: Share of the attention weights that is dropped in training.
    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, memory: Tensor | None, allowed: Tensor | None, *, records: int) -> Tensor:
        """Attend to a memory, or among the queries.

        Args:
            x: Queries ``[B, Q, D]`` or ``[1, Q, D]``.
            memory: ``[B, N, D]``; None to attend among the queries.
            allowed: bool, broadcast to ``[B, heads, Q, N]``, True where a query may see a key; None allows all.
            records: B, since each record has its own dropout.

        Returns:
            ``[B, Q, D]``; the first axis is 1 if the output is the same for all records.
        """
        D = x.shape[-1]
        if memory is None:
            q, k, v = self._heads(F.linear(x, self.in_proj_weight, self.in_proj_bias), 3)
        else:
            (q,) = self._heads(F.linear(x, self.in_proj_weight[:D], self.in_proj_bias[:D]), 1)
            k, v = self._heads(F.linear(memory, self.in_proj_weight[D:], self.in_proj_bias[D:]), 2)
        share = self.dropout if self.training else 0.0
        if self.watcher is not None or x.device.type == "cpu":
            out, weights = written_out(q, k, v, allowed, share, records)
            if self.watcher is not None:
                self.watcher(weights.detach())
        else:
            out = fused(q, k, v, allowed, share, records)
        merged: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return merged

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split ``[B, N, parts D]`` into `parts` of ``[B, heads, N, D / heads]``."""
        B, N, _ = projected.shape
        return projected.view(B, N, parts, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()


def written_out(
    q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, share: float, records: int
) -> tuple[Tensor, Tensor]:
    """Attend by the formula, with fast dropout on a CPU: ``[B, heads, Q, d]``, and the weights."""
    weights = attention_weights(q, k, allowed)
    kept = dropout(weights.expand(records, -1, -1, -1), share, True) if share else weights
    return kept @ v, weights


def fused(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None, share: float, records: int) -> Tensor:
    """Attend by one GPU kernel, which needs the same number of records in all inputs: ``[B, heads, Q, d]``."""
    B = records if share else max(len(q), len(k))
    q, k, v = (part.expand(B, -1, -1, -1) for part in (q, k, v))
    return attend(q, k, v, allowed, dropout=share)


class QueryLayer(nn.Module):
    """``x += SelfAttention(LN(x)); x += CrossAttention(LN(x), M); x += FFN(LN(x))``.

    Args:
        width: D.
        heads: Attention heads.
        hidden: Width inside the FFN.
        dropout: Dropout on attention weights, residuals and the hidden layer.
    """

    def __init__(self, *, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.self_attn, self.multihead_attn = (QueryAttention(width, heads, dropout=dropout) for _ in range(2))
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = dropout

    def forward(self, x: Tensor, memory: Tensor, real: Tensor | None, apart: Tensor | None) -> Tensor:
        """``[B, Q, D] -> [B, Q, D]``, or from ``[1, Q, D]`` for queries that have not seen a record yet.

        Args:
            x: Queries.
            memory: ``[B, N, D]``.
            real: bool ``[B, 1, 1, N]``, False for padding tokens; None if all are real.
            apart: bool ``[Q, Q]``, which query may see which; None for all.
        """
        records = len(memory)
        x = x + self._drop(self.self_attn(self.norm1(x), None, apart, records=records))
        x = x + self._drop(self.multihead_attn(self.norm2(x), memory, real, records=records))
        hidden = self._drop(torch.relu(self.linear1(self.norm3(x))))
        return x + self._drop(self.linear2(hidden))

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)


class QueryNetwork(nn.Module):
    """Queries and tokens to one logit per query.

    Args:
        width: Width D of queries and memory.
        layers: Number of decoder layers.
        heads: Number of attention heads.
        hidden: Width inside the FFN.
        dropout: Dropout in the layers and before the output.
        outputs: Number of logits per query.
    """

    def __init__(
        self, *, width: int, layers: int = 4, heads: int = 4, hidden: int = 1024, dropout: float = 0.1, outputs: int = 1
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            QueryLayer(width=width, heads=heads, hidden=hidden, dropout=dropout) for _ in range(layers)
        )
        self.dropout = dropout
        self.head = nn.Linear(width, outputs)
        self.apply(_initialise)

    def forward(
        self, queries: Tensor, memory: Tensor, real: Tensor | None = None, *, independent: bool = False
    ) -> Tensor:
        """Score every query on every record.

        Args:
            queries: ``[Q, D]``, the same for all records.
            memory: ``[B, N, D]``.
            real: bool ``[B, N]``, False for padding tokens; None if all are real.
            independent: Whether no query sees another, so that its score does not depend on the other queries.

        Returns:
            ``[B, Q]``, or ``[B, Q, outputs]`` if there are several outputs.
        """
        x = self.norm(self.decode(queries, memory, real, independent=independent))
        logits: Tensor = self.head(dropout(x, self.dropout, self.training))
        return logits.squeeze(-1) if logits.shape[-1] == 1 else logits

    def decode(
        self, queries: Tensor, memory: Tensor, real: Tensor | None = None, *, independent: bool = False
    ) -> Tensor:
        """Return the last layer's output ``[B, Q, D]``, before the shared norm; arguments as in `forward`."""
        x, memory, real, apart = self._inputs(queries, memory, real, independent)
        for layer in self.layers:
            x = layer(x, memory, real, apart)
        return x

    def _inputs(
        self, queries: Tensor, memory: Tensor, real: Tensor | None, independent: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        x = self.norm(queries)[None]
        apart = torch.eye(len(queries), dtype=torch.bool, device=queries.device) if independent else None
        return x, self.norm(memory), None if real is None else real[:, None, None], apart


def _initialise(module: nn.Module) -> None:
    """Set normal weights with standard deviation 0.02 and zero biases, as in KAD."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, QueryAttention):
        nn.init.normal_(module.in_proj_weight, std=0.02)
