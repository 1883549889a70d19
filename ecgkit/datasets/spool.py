"""Long lists of records on disk: a sequence that reads itself from an unnamed file, and rows of a table by their key.

A list of a million records in memory takes some gigabytes. Here memory holds one block of it at a time. The files lie
in the folder for temporary files (``TMPDIR``), have no name, and vanish with the process.
"""

import json
import os
import pickle  # within this process and its workers only: the file has no name, so nobody else can write into it
import sqlite3
import tempfile
import weakref
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, cast, overload

A = TypeVar("A", covariant=True)
B = TypeVar("B")
BLOCK = 256  # items that are packed together


class Chest:
    """Bytes in an unnamed file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it is open as long as this object lives
        weakref.finalize(self, self._file.close)
        self._size = 0

    def put(self, content: bytes) -> tuple[int, int]:
        """Store some bytes, and return where they lie: their offset and their number."""
        os.pwrite(self._file.fileno(), content, self._size)
        at = self._size, len(content)
        self._size += len(content)
        return at

    def get(self, offset: int, size: int) -> bytes:
        """Return stored bytes."""
        return os.pread(self._file.fileno(), size, offset)


class Spool(Sequence[A], Generic[A]):
    """Items in an unnamed file, in their order.

    Args:
        items: The items. They are taken one by one.
    """

    def __init__(self, items: Iterable[A]) -> None:
        self._chest, self._starts, self._length = Chest(), array("Q"), 0
        left = iter(items)
        while block := list(islice(left, BLOCK)):
            self._starts.extend(self._chest.put(pack(block)))
            self._length += len(block)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[A]:
        for number in range(len(self._starts) // 2):
            yield from self._block(number)

    @overload
    def __getitem__(self, index: int) -> A: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[A]: ...
    def __getitem__(self, index: int | slice) -> A | Sequence[A]:
        """Return an item, or a list of items."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._length))]
        at = range(self._length)[index]
        return self._block(at // BLOCK)[at % BLOCK]

    def _block(self, number: int) -> list[A]:
        return cast("list[A]", unpack(self._chest.get(*self._starts[2 * number : 2 * number + 2])))


class Mapped(Sequence[B], Generic[B]):
    """A sequence whose items are made from those of another, each time that they are read.

    Args:
        items: The other sequence.
        make: Makes an item, given its place and the other's item.
    """

    def __init__(self, items: Sequence[Any], make: Callable[[int, Any], B]) -> None:
        self._items, self._make = items, make

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[B]:
        for at, item in enumerate(self._items):
            yield self._make(at, item)

    @overload
    def __getitem__(self, index: int) -> B: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[B]: ...
    def __getitem__(self, index: int | slice) -> B | Sequence[B]:
        """Return an item, or a list of items."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = range(len(self))[index]
        return self._make(at, self._items[at])


def mapped(items: Sequence[Any], make: Callable[[int, Any], B]) -> Sequence[B]:
    """Return the items that a function makes: as a list if they were one, otherwise made when they are read."""
    if isinstance(items, list):
        return [make(at, item) for at, item in enumerate(items)]
    return Mapped(items, make)


class Keyed:
    """Rows of a table by the text of a key, on disk. Of several rows with one key the last counts.

    Args:
        rows: Each key with its row.
        columns: Columns to keep.
    """

    def __init__(self, rows: Iterable[tuple[str, dict[str, Any]]], columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._rows = unnamed_database(self)
        self._rows.execute("CREATE TABLE row (key TEXT PRIMARY KEY, cells TEXT) WITHOUT ROWID")
        cells = ((key, json.dumps([row.get(name) for name in self._columns])) for key, row in rows)
        self._rows.executemany("INSERT OR REPLACE INTO row VALUES (?, ?)", cells)

    def get(self, key: str) -> dict[str, Any]:
        """Return the row with a key; an empty one if there is none."""
        found = self._rows.execute("SELECT cells FROM row WHERE key = ?", (key,)).fetchone()
        return dict(zip(self._columns, json.loads(found[0]), strict=True)) if found else {}


def unnamed_database(owner: object) -> sqlite3.Connection:
    """Open an empty database in an unnamed file, which is closed with its owner. It keeps little of it in memory."""
    base = sqlite3.connect("")
    weakref.finalize(owner, base.close)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -4000"):
        base.execute(f"PRAGMA {pragma}")
    return base


def pack(items: list[Any]) -> bytes:
    """Compress items."""
    return zlib.compress(pickle.dumps(items, pickle.HIGHEST_PROTOCOL), 1)


def unpack(packed: bytes) -> list[Any]:
    """Undo `pack`."""
    return cast("list[Any]", pickle.loads(zlib.decompress(packed)))  # made by `pack`, in this process or its parent
