"""Which process trains on which records when: batches cut into pieces, the same plan in every process.

A batch of the recipe is cut into `accumulate` parts, one after the other, and each part into a piece a process. The
losses of pieces are weighted so that their gradients add up to those of the whole batch, whatever the sizes: nothing
is dropped and nothing counts twice. Where a part has fewer records than the processes need, a process without any
repeats some at weight 0.
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
from ecgkit.training.data import plan_batches

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """What one process does of one part of a batch.

    Args:
        rows: The records to feed; some that do not count where `counted` is 0.
        sizes: How many records of each process count.
        counted: How many of these count, this process's entry of `sizes`.
        weight: Factor of the loss; the mean over processes and the sum over parts is the loss of the batch.
    """

    rows: Rows
    sizes: tuple[int, ...]
    counted: int
    weight: float


def cut(batch: Rows, *, parts: int, processes: int, rank: int, group: int = 1, fewest: int = 1) -> list[Piece]:
    """Cut a batch into this process's pieces, in order.

    Args:
        batch: The rows, group by group.
        parts: Into how many parts at most.
        processes: How many processes share each part.
        rank: Which of them this is.
        group: Rows that stay together.
        fewest: Fewest rows of a piece; a batch that is too small for it is cut into fewer parts and pieces.
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
    """Split rows into at most so many parts of whole groups, none of them with fewer than `fewest` rows."""
    groups = rows.reshape(-1, group)
    number = max(1, min(parts, len(groups) // max(1, -(-fewest // group))))
    return [part.ravel() for part in np.array_split(groups, number)]


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
        sampler: Says which records stay together; None for no such rule.
        fewest: Fewest records of a piece.
    """

    view: View
    rows: Rows
    recipe: Recipe
    seed: int
    processes: int = 1
    rank: int = 0
    sampler: Sampler | None = None
    fewest: int = 1

    def epoch(self, epoch: int) -> list[list[Piece]]:
        """Return this process's pieces of every batch of an epoch.

        Raises:
            PluginError: The sampler gives another number of batches than in the first epoch.
        """
        batches = self._batches(epoch)
        if len(batches) != self.steps:
            raise PluginError(
                f"{type(self.sampler).__name__} fills {len(batches)} batches in epoch {epoch + 1} and {self.steps} in "
                "the first",
                "equally many groups in every epoch",
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
        return plan_batches(
            self.view, self.rows, self.recipe.batch_size, order, sampler=self.sampler, fewest=self.fewest
        )

    @cached_property
    def steps(self) -> int:
        """Steps per epoch; the same in each, for it depends on lead sets and groups alone."""
        return len(self._batches(0))

    @property
    def left_out(self) -> int:
        """How many records are in no batch of an epoch."""
        return len(self.rows) - sum(map(len, self._batches(0)))

    def orders(self, epoch: int, step: int) -> Iterator[tuple[int, Rows]]:
        """Yield (epoch, rows) of every piece from a step of an epoch to the end of the training."""
        for e in range(epoch, self.recipe.epochs):
            for pieces in self.epoch(e)[step if e == epoch else 0 :]:
                for piece in pieces:
                    yield e, piece.rows
