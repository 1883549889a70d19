"""Contrastive learning over the batches of all processes: gather with gradient, symmetric InfoNCE, collapse statistics.

Embeddings are ``[B, D]`` in each of W processes. `gather` joins them to ``[N, D]``, where N is the number of records in
all processes, in the order of the processes. The training loop uses `across` to say which processes take part.
Elsewhere `gather` is the identity, so a method calls it in one process and in many.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

_sizes: ContextVar[tuple[int, ...] | None] = ContextVar("sizes", default=None)


@contextmanager
def across(sizes: Sequence[int]) -> Iterator[None]:
    """Let `gather` reach all processes within the block.

    Args:
        sizes: Number of records of each process that count. A process may hold more records than it counts, so that it
            has work if there are fewer records than processes.
    """
    token = _sizes.set(tuple(sizes) if len(sizes) > 1 else None)
    try:
        yield
    finally:
        _sizes.reset(token)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def gather(x: Tensor) -> Tensor:
    """Return the rows of all processes, ``[B, ...] -> [N, ...]``. Gradients flow back to the process of each row.

    The objective of a distributed training is the mean of the processes' losses, and the backward pass is exactly its
    derivative. So W processes with batches of B give the same gradients as one process with a batch of W B. A loss may
    be computed over all N rows in every process, or over a process's own rows against all N.

    Args:
        x: One row per record of the batch. If records form groups, gather all rows first and pick from them afterwards.
    """
    sizes = _sizes.get()
    if sizes is not None and len(x) < sizes[dist.get_rank()]:
        raise ValueError(f"gather needs a row for each of {sizes[dist.get_rank()]} records and was given {len(x)}")
    return x if sizes is None else _Gather.apply(x, sizes)  # type: ignore[no-untyped-call]


def first_row() -> int:
    """Return the index of this process's first row in the output of `gather`."""
    sizes = _sizes.get()
    return 0 if sizes is None else sum(sizes[: dist.get_rank()])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
        ctx.sizes, ctx.rows = sizes, len(x)
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        own = sizes[dist.get_rank()]
        padded[:own] = x[:own]
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)  # the losses of all processes depend on these rows
        rank = dist.get_rank()
        start, own = sum(ctx.sizes[:rank]), ctx.sizes[rank]
        mine = total.new_zeros(ctx.rows, *total.shape[1:])
        mine[:own] = total[start : start + own]
        return mine, None


def info_nce(a: Tensor, b: Tensor, temperature: Tensor | float, paired: Tensor | None = None) -> Tensor:
    """Return the symmetric InfoNCE loss of pairs over the batches of all processes.

    ``(CE(s, i) + CE(s', i)) / 2`` with ``s_ij = <a_i, b_j> / (|a_i| |b_j| temperature)``: van den Oord et al., arXiv
    1807.03748; symmetric as in Radford et al., CLIP, arXiv 2103.00020, figure 3.

    Args:
        a: ``[B, D]``, one side of this process's pairs; vectors may have any length.
        b: ``[B, D]``, the other side.
        temperature: A number, or a scalar tensor if it is learned.
        paired: bool ``[B]``, whether a record has both sides; other records are left out. None for all.
    """
    a, b = gather(F.normalize(a.float(), dim=-1)), gather(F.normalize(b.float(), dim=-1))
    if paired is not None:
        keep = gather(paired.to(torch.uint8)).bool()
        if not keep.any():
            return (a.sum() + b.sum()) * 0.0
        a, b = a[keep], b[keep]
    logits = a @ b.T / temperature  # (N, N)
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


@torch.no_grad()
def embedding_statistics(z: Tensor, name: str = "embedding") -> dict[str, Tensor]:
    """Measure how much of their space embeddings use, to see a collapse early; for `ecgkit.methods.Losses.stats`.

    ``NAME_rank`` is the effective rank, exp of the entropy of the normalised singular values of the centred embeddings
    (Roy and Vetterli, EUSIPCO 2007; as RankMe, Garrido et al., arXiv 2210.02885): 1 for a line, at most
    min(B - 1, D). ``NAME_variance`` is the variance of unit-length embeddings summed over D: 1 if they point in all
    directions, 0 if all are equal. Singular values make a GPU wait, so compute them in evaluation mode only.

    Args:
        z: ``[B, D]``.
        name: Prefix of the names of the statistics.
    """
    z = F.normalize(z.float(), dim=-1)
    centred = z - z.mean(0)
    share = torch.linalg.svdvals(centred)
    share = share / share.sum().clamp_min(torch.finfo(share.dtype).tiny)
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    return {f"{name}_rank": entropy.exp(), f"{name}_variance": centred.square().sum(1).mean()}
