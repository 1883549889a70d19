"""Which process trains on which records when: batches cut into pieces, the same plan in every process.

A batch of the recipe is cut into `accumulate` parts, one after the other, and each part into a piece a process. The
losses of pieces are weighted so that their gradients add up to those of the whole batch, whatever the sizes: nothing
is dropped and nothing counts twice. Where a part has fewer records than there are processes, a process without any
repeats one at weight 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.recipe import Recipe
from ecgkit.store.views import View
from ecgkit.training.data import plan_batches

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """What one process does of one part of a batch.

    Args:
        rows: The records to feed; one that does not count where `counted` is 0.
        sizes: How many records of each process count.
        counted: How many of these count, this process's entry of `sizes`.
        weight: Factor of the loss; the mean over processes and the sum over parts is the loss of the batch.
    """

    rows: Rows
    sizes: tuple[int, ...]
    counted: int
    weight: float


def cut(batch: Rows, *, parts: int, processes: int, rank: int) -> list[Piece]:
    """Cut a batch into this process's pieces, in order."""
    pieces = []
    for part in np.array_split(batch, parts):
        if not len(part):
            continue
        shares = np.array_split(part, processes)
        own = shares[rank]
        pieces.append(
            Piece(
                rows=own if len(own) else part[:1],
                sizes=tuple(map(len, shares)),
                counted=len(own),
                weight=len(own) * processes / len(batch),
            )
        )
    return pieces


def deal(batches: list[Rows], *, processes: int, rank: int) -> list[tuple[int, Rows, bool]]:
    """Deal whole batches to processes, as many to each: (number, rows, whether they count).

    A process that would have one fewer repeats one that does not count, for processes that share a model must run it
    equally often.
    """
    rounds = -(-len(batches) // processes)
    numbers = range(rank, rounds * processes, processes)
    return [(n, batches[n % len(batches)], n < len(batches)) for n in numbers]


@dataclass(frozen=True)
class Plan:
    """The order of a whole training.

    Args:
        view: The view.
        rows: The rows that are trained on.
        recipe: How many a batch, in how many parts, how often.
        seed: Of the order.
        processes: How many processes share the work.
        rank: Which of them this is.
    """

    view: View
    rows: Rows
    recipe: Recipe
    seed: int
    processes: int = 1
    rank: int = 0

    def epoch(self, epoch: int) -> list[list[Piece]]:
        """Return this process's pieces of every batch of an epoch."""
        batches = plan_batches(self.view, self.rows, self.recipe.batch_size, (self.seed, epoch))
        how = {"parts": self.recipe.accumulate, "processes": self.processes, "rank": self.rank}
        return [cut(batch, **how) for batch in batches]

    @property
    def steps(self) -> int:
        """Steps an epoch; the same in each, for it depends on the lead sets alone."""
        return len(plan_batches(self.view, self.rows, self.recipe.batch_size))

    def orders(self, epoch: int, step: int) -> Iterator[tuple[int, Rows]]:
        """Yield (epoch, rows) of every piece from a step of an epoch to the end of the training."""
        for e in range(epoch, self.recipe.epochs):
            for pieces in self.epoch(e)[step if e == epoch else 0 :]:
                for piece in pieces:
                    yield e, piece.rows
