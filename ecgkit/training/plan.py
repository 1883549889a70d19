"""The plan of a training: batches cut into pieces for each process. Every process computes the same plan.

A batch of the recipe is cut into `accumulate` consecutive parts, and each part into one piece per process. The losses
of the pieces are weighted so that their gradients add up to those of the whole batch, for any sizes: no record is
dropped and none counts twice. If a part has too few records for all processes, a process without records repeats some
with weight 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import PluginError
from ecgkit.methods import Sampler
from ecgkit.recipe import Recipe
from ecgkit.store.views import View
from ecgkit.training.data import plan_batches, stream_batches
from ecgkit.training.streaming import Stream

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """The records of one part of a batch that one process trains on.

    Args:
        rows: The rows to feed to the model. If `counted` is 0, they are repeated rows that do not count.
        sizes: Number of counted rows of each process.
        counted: Number of counted rows of this process, its entry in `sizes`.
        weight: Factor on the loss. The mean over processes, summed over parts, is the loss of the batch.
    """

    rows: Rows
    sizes: tuple[int, ...]
    counted: int
    weight: float


def cut(batch: Rows, *, parts: int, processes: int, rank: int, group: int = 1, fewest: int = 1) -> list[Piece]:
    """Cut a batch into this process's pieces, in order.

    Args:
        batch: The rows, group by group.
        parts: Largest number of parts.
        processes: Number of processes that share each part.
        rank: Rank of this process.
        group: Number of consecutive rows that stay together.
        fewest: Fewest rows of a piece. A batch that is too small is cut into fewer parts and pieces.
    """
    pieces = []
    for part in _split(batch, parts, group, fewest):
        shares = _split(part, processes, group, fewest)
        shares += [part[:0]] * (processes - len(shares))
        own = shares[rank]
        pieces.append(
            Piece(
                rows=own if len(own) else part[: max(group, fewest)],
                sizes=tuple(map(len, shares)),
                counted=len(own),
                weight=len(own) * processes / len(batch),
            )
        )
    return pieces


def _split(rows: Rows, parts: int, group: int, fewest: int) -> list[Rows]:
    """Split rows into at most `parts` parts of whole groups, each with at least `fewest` rows."""
    groups = rows.reshape(-1, group)
    number = max(1, min(parts, len(groups) // max(1, -(-fewest // group))))
    return [part.ravel() for part in np.array_split(groups, number)]


def deal(batches: list[Rows], *, processes: int, rank: int) -> list[tuple[int, Rows, bool]]:
    """Distribute whole batches equally over processes; return (number, rows, whether they count) per batch.

    Processes that share a model must run it equally often. So a process with one batch fewer repeats a batch that does
    not count.
    """
    rounds = -(-len(batches) // processes)
    numbers = range(rank, rounds * processes, processes)
    return [(n, batches[n % len(batches)], n < len(batches)) for n in numbers]


@dataclass(frozen=True)
class Plan:
    """The order of the records over a whole training.

    Args:
        view: The view.
        rows: The training rows.
        recipe: Gives batch size, number of parts and number of epochs.
        seed: Seed of the order.
        processes: Number of processes that share the work.
        rank: Rank of this process.
        sampler: Gives groups of records that stay together; None for no groups.
        fewest: Fewest records of a piece.
        stream: The order of a view that is read in blocks; None for any order.
    """

    view: View
    rows: Rows
    recipe: Recipe
    seed: int
    processes: int = 1
    rank: int = 0
    sampler: Sampler | None = None
    fewest: int = 1
    stream: Stream | None = None

    def epoch(self, epoch: int) -> list[list[Piece]]:
        """Return this process's pieces of every batch of an epoch.

        Raises:
            PluginError: The sampler gives another number of batches than in the first epoch.
        """
        batches = self._batches(epoch)
        if len(batches) != self.steps:
            raise PluginError(
                f"{type(self.sampler).__name__} fills {len(batches)} batches in epoch {epoch + 1}, but {self.steps} in "
                "the first",
                "the same number of groups in every epoch",
            )
        group = 1 if self.sampler is None else self.sampler.group
        return [
            cut(
                batch,
                parts=self.recipe.accumulate,
                processes=self.processes,
                rank=self.rank,
                group=group,
                fewest=self.fewest,
            )
            for batch in batches
        ]

    def _batches(self, epoch: int) -> list[Rows]:
        order = (self.seed, epoch)
        size, fewest = self.recipe.batch_size, self.fewest
        if self.stream is not None:
            return stream_batches(self.view, self.rows, size, order, self.stream, fewest=fewest)
        return plan_batches(self.view, self.rows, size, order, sampler=self.sampler, fewest=fewest)

    @cached_property
    def steps(self) -> int:
        """Number of steps per epoch. It is the same in every epoch: it depends only on lead sets and groups."""
        return len(self._batches(0))

    @property
    def left_out(self) -> int:
        """Number of training records that are in no batch of an epoch."""
        return len(self.rows) - sum(map(len, self._batches(0)))

    def orders(self, epoch: int, step: int) -> Iterator[tuple[int, Rows]]:
        """Yield (epoch, rows) of every piece, from a step of an epoch to the end of the training."""
        for e in range(epoch, self.recipe.epochs):
            for pieces in self.epoch(e)[step if e == epoch else 0 :]:
                for piece in pieces:
                    yield e, piece.rows
