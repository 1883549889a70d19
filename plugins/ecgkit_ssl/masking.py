"""Which tokens of a record are hidden: blocks of time for JEPA, and spans for data2vec.

Blocks as Weimann and Conrad draw them, arXiv 2410.13867. A share of the tokens is kept, and the others are hidden in
blocks: an interval of visible tokens is picked in proportion to its length, then a block in it, of a random length of
at least `shortest`, at a random place. What is left to hide in the end and is shorter than that is attached to an end
of the interval.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def hide_blocks(tokens: int, hidden: int, shortest: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return bool ``[tokens]``, True for `hidden` tokens that lie in blocks."""
    mask = np.zeros(tokens, bool)
    while (rest := hidden - int(mask.sum())) > 0:
        edges = np.flatnonzero(np.diff(np.pad(~mask, 1).astype(np.int8)))
        starts, stops = edges[::2], edges[1::2]
        i = rng.choice(len(starts), p=(stops - starts) / (stops - starts).sum())
        room, least = int(stops[i] - starts[i]), min(shortest, rest)
        length = min(int(rng.integers(least, rest, endpoint=True)), room)
        if rest < shortest:
            first = starts[i] if rng.random() < 0.5 else stops[i] - length
        else:
            first = starts[i] + rng.integers(0, room - length, endpoint=True)
        mask[first : first + length] = True
    return mask


@torch.compiler.disable  # type: ignore[untyped-decorator]
def draw_hidden(real: Tensor, keep: tuple[float, float], shortest: int) -> Tensor:
    """Return which tokens of each record are hidden, bool ``[B, N]``.

    Every record has draws of its own, seeded by torch's generator, so a mask does not depend on what else is in the
    batch. At least one real token stays visible; padding is never hidden.

    Args:
        real: Bool ``[B, N]``, False for padding, which stands at the end.
        keep: Range of the share of real tokens that stays visible.
        shortest: Fewest tokens in a block.
    """
    seeds = torch.randint(2**31 - 1, (len(real),)).tolist()
    hidden = np.zeros(real.shape, bool)
    for row, (seed, count) in enumerate(zip(seeds, real.sum(1).tolist(), strict=True)):
        rng = np.random.default_rng(seed)
        visible = max(1, min(math.ceil(rng.uniform(*keep) * count), count - 1))
        hidden[row, :count] = hide_blocks(count, max(count - visible, 0), shortest, rng)
    return torch.from_numpy(hidden).to(real.device)


def draw_spans(real: Tensor, span: int, start: float) -> Tensor:
    """Return which tokens of each record are masked, bool ``[B, N]``: spans that begin at random, and may overlap.

    Baevski et al., wav2vec 2.0, arXiv 2006.11477, section 3.1, as data2vec uses it for speech. Each record has one span
    at least. Padding is never masked.

    Args:
        real: Bool ``[B, N]``, False for padding, which stands at the end.
        span: Tokens per span; one that does not fit ends with the record.
        start: Probability that a span begins at a token.
    """
    noise = torch.rand(real.shape, device=real.device).masked_fill(~real, 2.0)
    begins = (noise < start) | (noise == noise.amin(1, keepdim=True))
    reached = F.max_pool1d(F.pad(begins.float(), (span - 1, 0))[:, None], span, stride=1)[:, 0] > 0
    return reached & real
