"""Reading the blocks of a streamed training before their records are wanted; see `ecgkit.training.streaming`.

A thread plans ahead in the order of the training and gives each record of a block a slot in memory. One of `READERS`
threads reads the block into these slots with one request, and compares each record with its checksum. A batch is copied
from the slots, which are then free for other records. So the memory holds the records that are being mixed and a few
more, and a record is copied twice: from the storage and into its batch.

Loading processes see the slots too, because the memory is shared with them when they start. Where that is impossible,
they read the file itself. So does a batch for whose records there was no room; both give the same bytes.
"""

import mmap
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.compact import CompactWindows
from ecgkit.store.view_rows import VerifiedRows
from ecgkit.store.views import View
from ecgkit.training.streaming import Stream

READERS = 4  # threads that read, so that a disk or a server always has several requests
MORE = 0.25  # of the records that are mixed: as many are read before the mixing needs them
PREFETCH = 2  # batches that each loading process prepares, as torch's loader does by default

Rows = NDArray[np.int64]


def _shared(dtype: Any, number: int) -> NDArray[Any]:
    """Return an array of zeros that processes started later share."""
    kind = np.dtype(dtype)
    return np.frombuffer(mmap.mmap(-1, max(1, number) * kind.itemsize), kind)[:number]


class PooledRows(VerifiedRows):
    """The rows of a view, some of which are in slots of memory.

    Args:
        rows: The rows of the view.
        slots: Number of slots.

    Attributes:
        slots: The rows in memory by slot.
        place: ``[R]``, the slot of each row of a batch that is being made; -1 if it is not in memory.
    """

    def __init__(self, rows: VerifiedRows, slots: int) -> None:
        super().__init__(rows.folder, rows.records, rows.lengths, rows.checksums)
        self.slots = CompactWindows(_shared(rows.records.dtype, slots), _shared(np.int64, slots))
        self.place: Rows = _shared(np.int64, len(rows))
        self.place[:] = -1

    def read(self, rows: Rows, starts: Rows, leads: Rows, out: NDArray[np.float32]) -> None:
        """Write crops in mV into an array; see `CompactWindows.read`."""
        slots = self.place[rows]
        if (slots < 0).any():
            super().read(rows, starts, leads, out)
        else:
            self.slots.read(slots, starts, leads, out)

    def take(
        self, rows: Rows, starts: Rows, leads: Rows, counts: NDArray[np.int16], scale: NDArray[np.float32]
    ) -> None:
        """Copy crops as counts; see `CompactWindows.take`."""
        slots = self.place[rows]
        if (slots < 0).any():
            super().take(rows, starts, leads, counts, scale)
        else:
            self.slots.take(slots, starts, leads, counts, scale)


class Slots:
    """Which slot holds which row, and how many pieces that are still to be used need it.

    Args:
        number: Number of slots.
        rows: Number of rows of the view.
    """

    def __init__(self, number: int, rows: int) -> None:
        self.of_row = np.full(rows, -1, np.int64)
        self._row = np.full(number, -1, np.int64)
        self._needed = np.zeros(number, np.int64)
        self._free = list(range(number))

    def missing(self, rows: Rows) -> Rows:
        """Return those of some rows that are in no slot."""
        return rows[self.of_row[rows] < 0]

    def has_room(self, number: int) -> bool:
        """Return whether so many slots are free."""
        return len(self._free) >= number

    def fill(self, rows: Rows) -> None:
        """Give each of some rows a free slot."""
        slots = [self._free.pop() for _ in rows]
        self.of_row[rows], self._row[slots] = slots, rows

    def need(self, slots: Rows, times: Rows | int) -> None:
        """Note that slots are needed some more times."""
        self._needed[slots] += times

    def release(self, slots: Rows, times: Rows | int = 1) -> Rows:
        """Note that slots were used, and return the rows whose slots nobody needs any more."""
        self._needed[slots] -= times
        gone = slots[self._needed[slots] == 0]
        self._free += gone.tolist()
        rows = self._row[gone]
        self.of_row[rows] = -1
        return rows


@dataclass(frozen=True)
class Ready:
    """A piece whose records are being read or have been.

    Args:
        order: Epoch and rows of the piece.
        slots: The slot of each row; -1 if there was no room.
        reads: What to wait for.
    """

    order: tuple[int, Rows]
    slots: Rows
    reads: list[Future[None]]


class ReadAhead:
    """Reads the blocks of a training's records before they are wanted.

    Args:
        view: The view; its rows lie in a file.
        stream: The order.
        orders: Epoch and rows of each piece, epoch by epoch.
        loaders: Number of loading processes.

    Attributes:
        view: The view with the rows that are in memory; make the batches from it.
    """

    def __init__(self, view: View, stream: Stream, orders: Iterable[tuple[int, Rows]], loaders: int = 0) -> None:
        assert isinstance(view.signal, VerifiedRows)
        mixed = stream.block * stream.buffer
        number = min(int(mixed * (1 + MORE)) + stream.unit * (PREFETCH * loaders + 2), len(view.signal))
        self.stream, self._planned = stream, orders
        self._rows = PooledRows(view.signal, number)
        self.view = replace(view, signal=self._rows)
        self._bytes = self._rows.slots.as_int16.view(np.uint8)
        self._slots = Slots(number, len(view.signal))
        self._most = max(1, number // stream.unit)  # pieces that are planned before they are used
        self._ready: deque[Ready | BaseException | None] = deque()
        self._in_use: deque[Rows] = deque()
        self._waits, self._ended = False, False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._plan_all, daemon=True)

    def orders(self) -> Iterator[tuple[int, Rows]]:
        """Yield epoch and rows of each piece, each after its records were read.

        Raises:
            StoreError: A record is damaged, or cannot be read.
        """
        self._thread.start()  # not before: a loading process must not be forked while it runs
        while (piece := self._next()) is not None:
            for read in piece.reads:
                read.result()
            self._rows.place[piece.order[1]] = piece.slots
            self._in_use.append(piece.slots[piece.slots >= 0])
            yield piece.order

    def over(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield batches that are made from `view` in the order of `orders`; the memory of each is free after it."""
        try:
            for batch in batches:
                yield batch
                with self._turn:
                    self._rows.place[self._slots.release(self._in_use.popleft())] = -1
                    self._turn.notify_all()
        finally:
            with self._turn:
                self._ended = True
                self._turn.notify_all()
            if self._thread.ident is not None:
                self._thread.join()

    def _next(self) -> Ready | None:
        """Return the next piece; None after the last."""
        with self._turn:
            self._waits = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._ready)
            self._waits = False
            piece = self._ready.popleft()
            self._turn.notify_all()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    def _plan_all(self) -> None:
        """Begin to read the blocks of all epochs in turn."""
        end: BaseException | None = None
        try:
            with ThreadPoolExecutor(READERS) as readers:
                for epoch, pieces in groupby(self._planned, key=itemgetter(0)):
                    self._plan_epoch([rows for _, rows in pieces], epoch, readers)
                    if self._ended:
                        break
        except BaseException as error:  # it is raised in the thread that waits for the batches
            end = error
        with self._turn:
            self._ready.append(end)
            self._turn.notify_all()

    def _plan_epoch(self, pieces: list[Rows], epoch: int, readers: ThreadPoolExecutor) -> None:
        """Begin to read the blocks of an epoch, each as soon as there is room, and say which pieces they make ready."""
        size = self.stream.block
        rows, times = np.unique(np.concatenate(pieces), return_counts=True)
        bounds = np.searchsorted(rows, np.arange(len(self._rows) // size + 2) * size)
        reads: dict[int, Future[None] | None] = {}  # by block; None if there was no room
        for piece in pieces:
            blocks = np.unique(piece // size).tolist()
            for block in blocks:
                if block not in reads:
                    members = slice(bounds[block], bounds[block + 1])
                    reads[block] = self._begin(rows[members], times[members], readers)
            without = [block for block in blocks if reads[block] is None]
            wanted = [read for block in blocks if (read := reads[block]) is not None]
            with self._turn:
                self._turn.wait_for(lambda: self._ended or len(self._ready) < self._most)
                if self._ended:
                    return
                slots = np.where(np.isin(piece // size, without), -1, self._slots.of_row[piece])
                self._ready.append(Ready((epoch, piece), slots, wanted))
                self._turn.notify_all()

    def _begin(self, rows: Rows, times: Rows, readers: ThreadPoolExecutor) -> "Future[None] | None":
        """Begin to read rows of one block as soon as there is room; return None if there will be none.

        There will be none if a batch is waited for, because only batches that are used make room.
        """
        with self._turn:
            held = self._slots.of_row[rows] >= 0
            kept = self._slots.of_row[rows[held]]
            self._slots.need(kept, times[held])
            missing = rows[~held]
            self._turn.wait_for(
                lambda: self._ended or self._slots.has_room(len(missing)) or (self._waits and not self._ready)
            )
            if self._ended or not self._slots.has_room(len(missing)):
                self._slots.release(kept, times[held])
                return None
            self._slots.fill(missing)
            slots = self._slots.of_row[missing]
            self._slots.need(slots, times[~held])
        return readers.submit(self._fetch, missing, slots)

    def _fetch(self, rows: Rows, slots: Rows) -> None:
        """Read rows of one block into slots."""
        if not len(rows) or self._ended:
            return
        self._rows.slots.lengths[slots] = self._rows.lengths[rows]
        where = np.full(int(rows[-1] - rows[0]) + 1, -1, np.int64)
        where[rows - rows[0]] = slots
        self._rows.fetch(int(rows[0]), where, self._bytes)
