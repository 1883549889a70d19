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

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))
        self._collected: list[Tensor] = []

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def collect(self, keys: Tensor) -> None:
        """Keep keys ``[N, D]`` until the next `update`; N counts the records of all processes."""
        self._collected.append(unit(keys.detach().to(self.keys.dtype)))

    def update(self) -> None:
        """Store the collected keys. Keys beyond the end of the ring are dropped, and the pointer goes back to 0."""
        for keys in self._collected:
            start, room = int(self.pointer), len(self.keys) - int(self.pointer)
            self.keys[start : start + len(keys)] = keys[:room]
            self.pointer.fill_(0 if len(keys) >= room else start + len(keys))
        self._collected.clear()
