"""The order of a training on a view that is larger than memory: its records are read in blocks.

The blocks of an epoch come in random order. Each process has blocks of its own, mixes the records of `BUFFER` bytes of
them, and goes on with the next ones. Only the seed, the epoch and the number of processes decide the order, so a
training that goes on in the middle of an epoch is the same to the last bit. `ecgkit.training.read_ahead` reads the
blocks before their records are wanted.
"""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.choices import choose
from ecgkit.errors import RunError
from ecgkit.methods import Sampler
from ecgkit.recipe import Recipe
from ecgkit.store.view_rows import VerifiedRows
from ecgkit.store.views import View

BLOCK = 4 * 2**20  # bytes that are read at a time: enough for the full rate of disks and networks
BUFFER = 2**30  # bytes whose records are mixed, per process
SHARE = 0.5  # of the machine's memory: a view beyond it is streamed

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Stream:
    """The order of a training that reads blocks.

    Args:
        block: Records per block.
        buffer: Number of blocks whose records are mixed.
        processes: Number of processes, each with blocks of its own.
        unit: Consecutive records of a batch that go to one process.
    """

    block: int
    buffer: int
    processes: int
    unit: int

    @classmethod
    def of(cls, view: View, recipe: Recipe, processes: int) -> "Stream":
        """Return the order for a view."""
        assert isinstance(view.signal, VerifiedRows)
        bytes_per_row = view.signal.records.itemsize
        block = max(1, BLOCK // bytes_per_row)
        unit = max(1, recipe.batch_size // (recipe.accumulate * processes))
        return cls(block, max(1, BUFFER // (block * bytes_per_row)), processes, unit)

    def dealt(self, rows: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Return rows in the order in which each process reads them, and the process of each row.

        The rows of the first process come first, then those of the second, and so on.
        """
        blocks = rng.permutation(np.unique(rows // self.block))
        place = np.empty(int(blocks.max()) + 1 if len(blocks) else 0, np.int64)
        place[blocks] = np.arange(len(blocks))
        number = place[rows // self.block]
        process, group = number % self.processes, number // self.processes // self.buffer
        order = np.lexsort((rng.random(len(rows)), group, process))
        return rows[order], process[order]

    def mixed(self, rows: Rows, process: Rows) -> Rows:
        """Return rows of `dealt` in the order of the batches: some of the first process, some of the second, and so on.

        Each process then gets its own rows, as long as all have some left; see `ecgkit.training.plan.cut`.
        """
        place = np.arange(len(rows)) - np.searchsorted(process, process)
        return rows[np.lexsort((place, process, place // self.unit))]


def chosen_stream(
    view: View, recipe: Recipe, processes: int, wanted: bool | None, sampler: Sampler | None
) -> Stream | None:
    """Return the stream of a training; None if the view is read in any order.

    Args:
        view: The view.
        recipe: Gives the size of a batch.
        processes: Number of processes.
        wanted: Whether to stream; None if the view takes more than `SHARE` of the machine's memory.
        sampler: The sampler of the method, if it has one.

    Raises:
        RunError: Streaming is wanted of a method that keeps records together.
    """
    if wanted and sampler is not None:
        raise RunError(
            "--stream with a method that keeps records together in a batch, which may lie anywhere in the view",
            remedy="Leave --stream out. To read from a fast disk, give --scratch DIR.",
        )
    if wanted is False or sampler is not None or not isinstance(view.signal, VerifiedRows):
        return None
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted is None:
        if view.signal.nbytes <= SHARE * memory:
            return None
        size, of = (f"{number / 2**30:.0f} GiB" for number in (view.signal.nbytes, memory))
        choose("--stream", "on", f"the view takes {size} of the machine's {of} of memory")
    return Stream.of(view, recipe, processes)
