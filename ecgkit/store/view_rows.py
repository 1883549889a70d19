"""The files of a view, and its rows, each compared with its checksum when a process reads it first.

    HASH/signal.npy   [R] of float32 scale [L, 2] and int16 counts [L, W]; see `ecgkit.signal.compact`
    HASH/rows.npy     int64 [2, R]: number of real samples of each row, and CRC-32C of its bytes
    HASH/view.json    hash of the source code that made the view, and of rows.npy

A view made by other code is made again.
"""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ecgkit.atomic import check_space
from ecgkit.config import fingerprint, source_hash
from ecgkit.errors import StoreError
from ecgkit.signal.compact import CompactWindows, Records, record_type
from ecgkit.store.format import file_hash
from ecgkit.unfinished import Unfinished

SIGNAL, ROWS, ABOUT = "signal.npy", "rows.npy", "view.json"
# Modules whose code decides the content of a view.
STEPS = ("spec", "filters", "published_filters", "normalize", "repair", "resample", "microvolts", "compact")
KERNELS = ("filter_kernel", "microvolts_kernel", "compact_kernel")
CODE = (*(f"ecgkit.signal.{name}" for name in (*STEPS, *KERNELS)), "ecgkit.store.views")
AT_ONCE = 1024  # rows that are copied at a time
MOST_ARRAYS = 1024  # that one request can fill


def unfinished_view(folder: Path) -> Unfinished:
    """Return the unfinished folder of a view."""
    return Unfinished(folder, "view", overwrite=True, hidden=True, option="")


def load_rows(folder: Path, shape: tuple[int, ...]) -> "VerifiedRows | None":
    """Return the rows of a view; None if it does not exist, is damaged or was made by other code: it is a cache."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if about != _about(folder):
            return None
        records, rows = np.load(folder / SIGNAL, mmap_mode="r"), np.load(folder / ROWS)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = records.dtype == record_type(*shape[1:]) and len(records) == shape[0] and rows.shape == (2, shape[0])
    return VerifiedRows(folder, records, *rows) if is_whole else None


def code_hash() -> str:
    """Return the hash of the code that decides the content of a view."""
    return source_hash(CODE)


def write_about(folder: Path) -> None:
    """Write what belongs to the signals and rows in a folder: the last file of a view."""
    (folder / ABOUT).write_text(json.dumps(_about(folder)), encoding="utf-8")


def _about(folder: Path) -> dict[str, str]:
    return {"code": code_hash(), "rows": file_hash(folder / ROWS)}


class VerifiedRows(CompactWindows):
    """The rows of a view, ``[R, L, W]``. Each is compared with its checksum when this process reads it first.

    Args:
        folder: Folder of the view.
        records: Its records, memory-mapped.
        lengths: ``[R]``, number of real samples of each row.
        checksums: ``[R]``, CRC-32C of each record.

    Attributes:
        file: File of the records.
    """

    def __init__(
        self, folder: Path, records: Records, lengths: NDArray[np.int64], checksums: NDArray[np.int64]
    ) -> None:
        super().__init__(records, lengths)
        self.folder, self.file = folder, folder / SIGNAL
        self.checksums = checksums
        self._sound = np.zeros(len(records), bool)
        self._bytes = self.as_int16.view(np.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the view as its folder, so that its signals are not sent to another process."""
        return _reopened, (self.folder, self.shape)

    def check(self, rows: NDArray[np.int64]) -> None:
        """Compare the rows that this process has not read before with their checksums.

        Raises:
            StoreError: A row differs from what was written. The next `open_view` makes the view again.
        """
        for row in rows[~self._sound[rows]]:
            self._compare(row, self._bytes[row])
            self._sound[row] = True

    def fetch(self, first: int, slots: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
        """Read consecutive rows from the file with one request, and compare each with its checksum.

        Args:
            first: The first row.
            slots: ``[n]``, where each row goes in `out`; -1 for a row that is not wanted.
            out: ``[slots, bytes of a row]``.

        Raises:
            StoreError: A row differs from what was written, or cannot be read.
        """
        unwanted = np.empty(out.shape[1], np.uint8)
        start: Any = self.records.offset  # type: ignore[attr-defined]
        try:
            descriptor = os.open(self.file, os.O_RDONLY)
            try:
                place = int(start) + first * out.shape[1]
                _read_all(descriptor, [(unwanted if slot < 0 else out[slot]).data for slot in slots], place)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreError(
                f"the view {self.file} cannot be read: {error.strerror or error}",
                remedy="Check the disk, and run the same command again.",
            ) from error
        for row, slot in enumerate(slots, first):
            if slot >= 0:
                self._compare(row, out[slot])

    def _compare(self, row: int, content: NDArray[np.uint8]) -> None:
        """Raise an error if a row differs from what was written. The next command then makes the view again."""
        if checksum(content) != self.checksums[row]:
            with suppress(OSError):
                (self.folder / ABOUT).unlink()
            raise StoreError(
                f"row {row} of the view {self.folder / SIGNAL} is damaged",
                remedy="Run the same command again: the view is made again. If this repeats, check the disk.",
            )


def _reopened(folder: Path, shape: tuple[int, ...]) -> VerifiedRows:
    found = load_rows(folder, shape)
    if found is None:
        raise StoreError(f"the view {folder} was replaced in the meantime", remedy="Run the same command again.")
    return found


def checksum(content: NDArray[np.uint8]) -> int:
    """Return the CRC-32C of the bytes of a record."""
    return int(google_crc32c.value(content))


def _read_all(descriptor: int, arrays: list[memoryview], place: int) -> None:
    """Fill arrays with consecutive bytes of a file.

    Raises:
        OSError: The file cannot be read, or ends before.
    """
    done = 0
    while done < len(arrays):
        read = os.preadv(descriptor, arrays[done : done + MOST_ARRAYS], place)
        if not read:
            raise OSError("it is shorter than it was")
        place += read
        while done < len(arrays) and read >= len(arrays[done]):
            read, done = read - len(arrays[done]), done + 1
        if read:
            arrays[done] = arrays[done][read:]


def is_allocated(signal: Path, shape: tuple[int, ...]) -> bool:
    """Return whether the file of all rows is there in full length; a process may have been killed while it made it."""
    try:
        rows = np.load(signal, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(rows.dtype == record_type(*shape[1:]) and rows.shape == shape[:1])


def allocate_rows(signal: Path, shape: tuple[int, ...], folder: Path) -> None:
    """Make the file of all rows with all of its space, so that no later write finds the disk full.

    A file with holes would be refused its space only when a page of it is used, which ends the process (SIGBUS).

    Args:
        signal: The file.
        shape: Number of rows, leads and samples.
        folder: Where the view is to appear, for errors.

    Raises:
        OutputError: The disk has less free space; nothing is left.
    """
    if not is_allocated(signal, shape):
        kind = record_type(*shape[1:])
        check_space(folder, shape[0] * kind.itemsize, "this view of the signals")
        open_memmap(signal, "w+", kind, shape[:1]).flush()
    descriptor = os.open(signal, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    except OSError:
        signal.unlink()
        raise
    finally:
        os.close(descriptor)


def copied_rows(rows: VerifiedRows, scratch: Path) -> VerifiedRows:
    """Return the rows of a view from a folder on a disk of this machine, after copying them there.

    The first process that needs the copy makes it, and compares every row with its checksum. Others wait for it.

    Args:
        rows: The rows.
        scratch: The folder; copies of several views may lie in it. The view of a remote store may be there already.

    Raises:
        StoreError: A row is damaged.
        OutputError: The folder cannot be written, or has too little space.
    """
    if rows.folder.resolve().is_relative_to(scratch.resolve()):
        return rows
    folder = scratch / fingerprint(rows.folder.name, (rows.folder / ABOUT).read_text(encoding="utf-8"))
    found, unfinished = load_rows(folder, rows.shape), unfinished_view(folder)
    if found is not None:
        return found
    with unfinished.open(wait=True):
        found = load_rows(folder, rows.shape)
        if found is None:
            unfinished.begin(folder.name)
            _copy(rows, unfinished.made, folder)
            unfinished.finish()
            found = load_rows(folder, rows.shape)
    if found is None:
        raise StoreError(f"the copy {folder} of a view cannot be read back", remedy="Run the same command again.")
    return found


def _copy(rows: VerifiedRows, made: Path, folder: Path) -> None:
    allocate_rows(made / SIGNAL, rows.shape, folder)
    target = open_memmap(made / SIGNAL, "r+")
    for first in range(0, len(rows), AT_ONCE):
        some = np.arange(first, min(first + AT_ONCE, len(rows)))
        rows.check(some)
        target[some] = rows.records[some]
    target.flush()
    for name in (ROWS, ABOUT):
        (made / name).write_bytes((rows.folder / name).read_bytes())
