"""Contrast with a queue of keys from earlier batches.

He et al., Momentum Contrast for Unsupervised Visual Representation Learning (MoCo), arXiv 1911.05722, equation 1. With
queries q_i, keys k_i of an averaged encoder and the K stored keys m_j:

    L = mean_i CE([cos(q_i, k_i), cos(q_i, m_j) over j] / T; 0)

The loss sees the keys that were stored before this batch. `KeyQueue.collect` keeps the keys of a part of the batch, and
`KeyQueue.update` stores those of all parts, once per optimiser step.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.nn.losses.cosine import paired_cosine, unit
from ecgkit.nn.losses.precision import in_full_precision


@in_full_precision
def queue_contrast(queries: Tensor, keys: Tensor, stored: Tensor, temperature: float) -> Tensor:
    """Return the mean loss of the queries.

    Args:
        queries: ``[B, D]``.
        keys: ``[B, D]``, the key of each query.
        stored: ``[K, D]``, keys of unit length from earlier batches: the negatives.
        temperature: T.
    """
    own = paired_cosine(queries, keys)[:, None]
    scores = torch.cat([own, unit(queries) @ stored.T], dim=1) / temperature
    return F.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long))


class KeyQueue(nn.Module):
    """A ring of the latest keys, of unit length.

    Args:
        size: K, number of keys.
        width: D, width of a key.
    """

    keys: Tensor
    pointer: Tensor
    fresh: Tensor
    count: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        # What a step collects; buffers, so that whoever tries a step out can put everything back.
        self.register_buffer("fresh", torch.zeros(size, width), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.long), persistent=False)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def collect(self, keys: Tensor) -> None:
        """Keep keys ``[N, D]`` until the next `update`; N counts the records of all processes."""
        start = int(self.count)
        kept = unit(keys.detach())[: len(self.fresh) - start]
        self.fresh[start : start + len(kept)] = kept
        self.count += len(kept)

    def update(self) -> None:
        """Store the collected keys. Keys beyond the end of the ring are dropped, and the pointer goes back to 0."""
        start, count = int(self.pointer), int(self.count)
        stored = min(count, len(self.keys) - start)
        self.keys[start : start + stored] = self.fresh[:stored]
        self.pointer.fill_((start + stored) % len(self.keys))
        self.count.zero_()
