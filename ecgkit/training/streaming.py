"""Training on a view that is larger than memory: its records are read in blocks, one block after another.

The blocks of an epoch come in random order. Each process has blocks of its own, mixes the records of `BUFFER` bytes of
them, and goes on with the next ones. Only the seed, the epoch and the number of processes decide the order, so a
training that goes on in the middle of an epoch is the same to the last bit. `ReadAhead` reads the blocks into the
memory that the system gives to files, before their records are wanted.
"""

import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

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
READERS = 4  # threads that read, so that a disk or a server always has several requests

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


class ReadAhead:
    """Reads the blocks of a training's records before they are wanted.

    Args:
        file: File of the view.
        start: Place of its first row in the file.
        bytes_per_row: Size of a row.
        records: Number of rows.
        stream: The order.
    """

    def __init__(self, file: Path, start: int, bytes_per_row: int, records: int, stream: Stream) -> None:
        self.file, self.start, self.bytes_per_row, self.records = file, start, bytes_per_row, records
        self.stream = stream
        self.ahead = max(1, stream.buffer * stream.block // stream.unit)  # pieces
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._read_orders, self._used, self._ended = 0.0, 0, False
        self._turn = threading.Condition()

    @classmethod
    def of(cls, view: View, stream: Stream) -> "ReadAhead":
        """Return the reader of a view."""
        signal = view.signal
        assert isinstance(signal, VerifiedRows)
        start: Any = signal.records.offset  # type: ignore[attr-defined]
        return cls(signal.file, int(start), signal.records.itemsize, len(signal), stream)

    def over(self, batches: Iterator[Any], orders: Iterator[tuple[int, Rows]]) -> Iterator[Any]:
        """Yield batches while a thread reads ahead; none is asked for before its blocks are read.

        Args:
            batches: The batches.
            orders: Epoch and rows of each of them.
        """
        thread = threading.Thread(target=self._read_all, args=(orders,), daemon=True)
        thread.start()
        try:
            while True:
                with self._turn:
                    self._turn.wait_for(lambda: self._read_orders > self._used)
                batch = next(batches, None)
                if batch is None:
                    return
                yield batch
                with self._turn:
                    self._used += 1
                    self._turn.notify_all()
        finally:
            with self._turn:
                self._ended = True
                self._turn.notify_all()
            thread.join()

    def _read_all(self, orders: Iterator[tuple[int, Rows]]) -> None:
        """Read the blocks of all orders in turn, at most `ahead` orders before they are used."""
        try:
            with ThreadPoolExecutor(READERS) as readers:
                for number, (_, rows) in enumerate(orders):
                    with self._turn:
                        self._turn.wait_for(partial(self._may_read, number))
                        if self._ended:
                            return
                    list(readers.map(self._read, self._new_blocks(rows)))
                    self._note(number + 1)
        finally:
            self._note(math.inf)  # whatever happened, the batches come

    def _may_read(self, number: int) -> bool:
        return self._ended or number < self._used + self.ahead

    def _note(self, orders: float) -> None:
        with self._turn:
            self._read_orders = orders
            self._turn.notify_all()

    def _new_blocks(self, rows: Rows) -> list[int]:
        """Return the blocks of some rows that were not read lately."""
        found = []
        for block in np.unique(rows // self.stream.block).tolist():
            if block not in self._recent:
                found.append(block)
            self._recent[block] = None
            self._recent.move_to_end(block)
        while len(self._recent) > 2 * self.stream.buffer:
            self._recent.popitem(last=False)
        return found

    def _read(self, block: int) -> None:
        """Read a block; a batch that needs it tells of any error."""
        first = block * self.stream.block
        count = min(self.stream.block, self.records - first) * self.bytes_per_row
        with suppress(OSError):
            descriptor = os.open(self.file, os.O_RDONLY)
            try:
                os.pread(descriptor, count, self.start + first * self.bytes_per_row)
            finally:
                os.close(descriptor)
