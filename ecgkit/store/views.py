"""Views: a signal contract applied once to a whole store, up to the crop, and memory-mapped.

A view is stored in ``STORE/views/HASH/``, under the hash of the steps that made it, so every run and probe with the
same contract shares it. Its signals are float32 ``[R, L, W]`` in mV at the contract's rate. A lead that a record lacks
is 0 and marked as absent. If the store's folder cannot be written, the view goes to ``ECGKIT_CACHE`` (default
``~/.cache/ecgkit``). A view is made part by part and can be resumed; see `ecgkit.parts`.

    HASH/signal.npy   float32 [R, L, W]
    HASH/rows.npy     int64 [2, R]: number of real samples of each row, and CRC-32C of its bytes
    HASH/view.json    hash of the source code that made the view, and of rows.npy

A view made by other code is made again. Every row is compared with its checksum when a process reads it first.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ecgkit.atomic import check_space
from ecgkit.config import fingerprint, source_hash
from ecgkit.errors import LeadError, StoreError
from ecgkit.executor import Executor
from ecgkit.parts import Part, make_parts
from ecgkit.progress import Advance
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.format import file_hash
from ecgkit.store.products import own_folder
from ecgkit.store.reader import Store
from ecgkit.unfinished import Unfinished, whole_file

SIGNAL, ROWS, ABOUT = "signal.npy", "rows.npy", "view.json"
# Modules whose code decides the content of a view.
CODE = (
    *(f"ecgkit.signal.{name}" for name in ("spec", "filters", "filter_kernel", "repair", "resample", "microvolts")),
    __name__,
)
CHUNKS_PER_PART = 8  # large enough that handing out a part costs little compared with making it
SHORTEST = 1.0  # s; a shorter record contains no complete heartbeat, and is too short for filters

Arrays = tuple[Any, NDArray[np.int64]]  # signals by row, and the number of real samples of each row


@dataclass(frozen=True)
class View:
    """A store under one signal contract, before the crop.

    Args:
        spec: The signal contract.
        signal: float32 ``[R, L, W]`` in mV, memory-mapped and verified when read (`VerifiedRows`); the L rows are the
            contract's leads in its order.
        present: bool ``[R, L]``, whether a record has a lead.
        lengths: int ``[R]``, number of real samples in each window.
    """

    spec: SignalSpec
    signal: NDArray[np.float32]
    present: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Bool ``[R]``: whether a record has any of the contract's leads, and at least `SHORTEST` seconds of signal."""
        return self.present.any(1) & (self.lengths >= SHORTEST * self.spec.fs)

    def only(self, leads: Sequence[str]) -> "View":
        """Return the view as if only these leads had been recorded. Normalisation then uses these leads only.

        Raises:
            LeadError: The contract has none of the leads.
        """
        kept = np.isin(self.spec.leads, leads)
        if not kept.any():
            raise LeadError(
                f"the model reads none of the leads {', '.join(leads)}", f"some of {', '.join(self.spec.leads)}"
            )
        return replace(self, present=self.present & kept)


def open_view(
    store: Store, spec: SignalSpec, progress: Advance | None = None, executor: Executor | None = None
) -> View:
    """Open the view of a store under a signal contract, and make it first if it does not exist yet.

    If another process is making the same view, this waits for it.

    Args:
        store: The store.
        spec: The signal contract.
        progress: Called with records done and records in total while the view is made.
        executor: Makes the view; None for as many processes as pay. The result is the same to the last bit.

    Raises:
        LeadError: The store has none of the contract's leads.
        OutputError: The view cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed; finished parts of the view are kept.
        WorkerError: A worker ended before its work was done.
    """
    present = store.present(spec.leads)
    if not present.any():
        raise LeadError(f"{store.path} has leads {', '.join(store.leads)}", f"at least one of {', '.join(spec.leads)}")
    folder, shape = _place(store, spec)
    _unfinished(folder).tidy()
    signal, lengths = _load(folder, shape) or _make(store, spec, folder, shape, progress, executor)
    return View(spec, signal, present, lengths)


def is_made(store: Store, spec: SignalSpec) -> bool:
    """Return whether the view of a store under a signal contract is there."""
    return _load(*_place(store, spec)) is not None


def maker_of_view(store: Store, spec: SignalSpec) -> str:
    """Return the process that makes a view at present; empty if none does."""
    return _unfinished(_place(store, spec)[0]).holder()


def preview(store: Store, spec: SignalSpec) -> View:
    """Return a view whose windows are computed when they are read, one record at a time: for work on a few records."""
    kinds = store.table[["fs", "samples"]].drop_duplicates().itertuples(index=False)
    length = {
        (fs, T): window_of(np.zeros((1, min(T, round(spec.window * fs) + 1))), fs, spec)[1] for fs, T in kinds if T
    }
    rows = zip(store.table["fs"], store.table["samples"], strict=True)
    lengths = np.array([length.get(kind, 0) for kind in rows], np.int64)
    return View(spec, _Windows(store, spec), store.present(spec.leads), lengths)  # type: ignore[arg-type]


class _Windows:
    """The windows of a store, ``[R, L, W]``, computed when they are read."""

    def __init__(self, store: Store, spec: SignalSpec) -> None:
        self.store, self.spec = store, spec

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        """Return the window of a record, ``[L, W]``."""
        windows, _ = next(_windows(self.store, self.spec, int(row), int(row) + 1))
        return windows[0]


def before_filter(store: Store, view: View) -> View:
    """Return a view in mV, without the steps that the contract does on the window; the view itself if it has none."""
    raw = view.spec.raw
    return view if raw is view.spec else replace(open_view(store, raw), present=view.present)


def view_folder(store: Store, spec: SignalSpec) -> Path:
    """Return the folder of the view of a store under a signal contract."""
    return own_folder(store.path, store.content_hash, "views") / spec.view_key()


def _place(store: Store, spec: SignalSpec) -> tuple[Path, tuple[int, ...]]:
    """Return the folder and the shape of a view."""
    return view_folder(store, spec), (len(store), len(spec.leads), spec.window_samples)


def _unfinished(folder: Path) -> Unfinished:
    return Unfinished(folder, "view", overwrite=True, hidden=True, option="")


def _load(folder: Path, shape: tuple[int, ...]) -> Arrays | None:
    """Return the arrays of a view; None if it does not exist, is damaged or was made by other code: it is a cache."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if about != _about(folder / ROWS):
            return None
        signal, rows = np.load(folder / SIGNAL, mmap_mode="r"), np.load(folder / ROWS)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = signal.shape == shape and rows.shape == (2, shape[0])
    return (VerifiedRows(folder, signal, rows[1]), rows[0]) if is_whole else None


def _about(rows: Path) -> dict[str, str]:
    return {"code": source_hash(CODE), "rows": file_hash(rows)}


class VerifiedRows:
    """The rows of a view, ``[R, L, W]``. Each is compared with its checksum when this process reads it first.

    Args:
        folder: Folder of the view.
        signal: Its signals, memory-mapped.
        checksums: ``[R]``, CRC-32C of each row.
    """

    def __init__(self, folder: Path, signal: NDArray[np.float32], checksums: NDArray[np.int64]) -> None:
        self.folder, self.shape, self.dtype, self.ndim = folder, signal.shape, signal.dtype, signal.ndim
        self.nbytes = signal.nbytes
        self._signal, self._checksums = signal, checksums
        self._sound = np.zeros(len(signal), bool)

    def __len__(self) -> int:
        return len(self._signal)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Return what a memory-mapped array returns.

        Raises:
            StoreError: A row differs from what was written. The next `open_view` makes the view again.
        """
        if isinstance(index, int | np.integer):  # the usual case
            rows = np.array([] if self._sound[index] else [index], np.int64)
        else:
            chosen = np.atleast_1d(np.arange(len(self))[index[0] if isinstance(index, tuple) else index]).ravel()
            rows = chosen[~self._sound[chosen]]
        for row in rows:
            self._check(int(row) % len(self))
        return self._signal[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all rows."""
        return np.array(self[:], dtype=dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the view as its folder, so that its signals are not sent to another process."""
        return _reopened, (self.folder, self.shape)

    def _check(self, row: int) -> None:
        if crc32c(self._signal[row]) != self._checksums[row]:
            with suppress(OSError):
                (self.folder / ABOUT).unlink()
            raise StoreError(
                f"row {row} of the view {self.folder / SIGNAL} is damaged",
                remedy="Run the same command again: the view is made again. If this repeats, check the disk.",
            )
        self._sound[row] = True


def _reopened(folder: Path, shape: tuple[int, ...]) -> Any:
    found = _load(folder, shape)
    if found is None:
        raise StoreError(f"the view {folder} was replaced in the meantime", remedy="Run the same command again.")
    return found[0]


def crc32c(row: NDArray[np.float32]) -> int:
    """Return the CRC-32C of a row's bytes."""
    return int(google_crc32c.value(row.tobytes()))


def _make(
    store: Store,
    spec: SignalSpec,
    folder: Path,
    shape: tuple[int, ...],
    progress: Advance | None,
    executor: Executor | None,
) -> Arrays:
    """Make a view part by part, unless another process has made it in the meantime, and return its arrays."""
    unfinished = _unfinished(folder)
    with unfinished.open(wait=True):
        if there := _load(folder, shape):
            return there
        parts = _parts(store)
        code = source_hash(CODE)
        unfinished.begin(fingerprint(store.content_hash, spec.view_key(), code, [part.call for part in parts]))
        signal, rows = unfinished.made / SIGNAL, unfinished.made / ROWS
        if not _is_allocated(signal, shape):
            for part in parts:
                (unfinished.parts / part.name).unlink(missing_ok=True)  # its rows were in a file that is lost
            check_space(folder, math.prod(shape) * np.dtype(np.float32).itemsize, "this view of the signals")
            open_memmap(signal, "w+", np.float32, shape).flush()
        _allocate(signal)
        make_parts(unfinished, partial(_fill, store, spec, signal, unfinished.parts), parts, executor, progress)
        made = [np.load(unfinished.parts / part.name) for part in parts]
        np.save(rows, np.concatenate([np.zeros((2, 0), np.int64), *made], axis=1))
        (unfinished.made / ABOUT).write_text(json.dumps(_about(rows)), encoding="utf-8")
        unfinished.finish()
    found = _load(folder, shape)
    if found is None:
        raise StoreError(f"the view {folder} cannot be read back", remedy="Run the same command again.")
    return found


def _is_allocated(signal: Path, shape: tuple[int, ...]) -> bool:
    """Return whether the file of all rows is there in full length; a process may have been killed while it made it."""
    try:
        return bool(np.load(signal, mmap_mode="r").shape == shape)
    except (OSError, ValueError, EOFError):
        return False


def _allocate(signal: Path) -> None:
    """Give the file of all rows all of its space, so that no later write finds the disk full.

    A file with holes would be refused its space only when a page of it is used, which ends the process (SIGBUS).

    Raises:
        OSError: The disk has less free space; nothing is left.
    """
    descriptor = os.open(signal, os.O_RDWR)
    try:
        os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
    except OSError:
        signal.unlink()
        raise
    finally:
        os.close(descriptor)


def _parts(store: Store) -> list[Part[tuple[int, int]]]:
    """Return blocks of whole chunks, given by their first record and the first record after them."""
    size = store.chunk_records * CHUNKS_PER_PART
    blocks = [(start, min(start + size, len(store))) for start in range(0, len(store), size)]
    return [Part(_part_name(start), stop - start, (start, stop)) for start, stop in blocks]


def _part_name(start: int) -> str:
    return f"{start:09d}.npy"


def _fill(store: Store, spec: SignalSpec, signal: Path, parts: Path, block: tuple[int, int]) -> None:
    """Write the rows of one part into the file of the view, then the part's own file: their lengths and checksums.

    Args:
        store: The store.
        spec: The signal contract.
        signal: File of all rows, ``[R, L, W]``.
        parts: Folder of the parts.
        block: First row of the part, and first row after it.
    """
    first, last = block
    lengths, checksums = [], []
    rows = open_memmap(signal, "r")
    place = rows.offset + first * rows.strides[0]
    # Write without reading, so that on a network file system two machines can write into one page.
    descriptor = os.open(signal, os.O_WRONLY)
    try:
        for windows, real in _windows(store, spec, first, last):
            _write_all(descriptor, windows, place)
            place += windows.nbytes
            lengths.append(real)
            checksums.append(np.array([crc32c(window) for window in windows], np.int64))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with whole_file(parts / _part_name(first)) as path:
        np.save(path, np.stack([np.concatenate(lengths), np.concatenate(checksums)]))


def _windows(store: Store, spec: SignalSpec, first: int, last: int) -> Iterator[Arrays]:
    """Yield the windows of records `first` to `last` chunk by chunk, and the number of real samples of each window.

    The windows are float32 ``[n, L, W]`` in mV. The arrays of a chunk are freed only when the next chunk replaces them,
    so the process does not return memory and request it again with every chunk.
    """
    columns = [store.leads.index(lead) for lead in spec.leads if lead in store.leads]
    places = np.array([spec.leads.index(store.leads[c]) for c in columns])
    rates, samples = store.table["fs"].to_numpy(), store.table["samples"].to_numpy()
    for start, stop in store.spans(first, last):
        block = store.signals(start, stop)[:, columns]
        windows = np.zeros((stop - start, len(spec.leads), spec.window_samples), np.float32)
        lengths = np.zeros(stop - start, np.int64)
        for fs, T in sorted(set(zip(rates[start:stop], samples[start:stop], strict=True))):
            same = np.flatnonzero((rates[start:stop] == fs) & (samples[start:stop] == T))
            window, lengths[same] = window_of(block[same][..., :T], fs, spec)
            windows[np.ix_(same, places)] = window
        yield windows, lengths


def _write_all(descriptor: int, block: NDArray[np.float32], offset: int) -> None:
    left = block.data.cast("B")
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
