"""Views: a signal contract applied once to a whole store, up to the crop, and memory-mapped.

A view is stored in ``STORE/views/HASH/``, under the hash of the steps that made it, so every run and probe with the
same contract shares it. Its signals ``[R, L, W]`` are in mV at the contract's rate, stored as int16 counts with a step
and an offset for each lead of each record; see `ecgkit.signal.compact`. A lead that a record lacks is 0 and marked as
absent. If the store's folder cannot be written, the view goes to ``ECGKIT_CACHE`` (default ``~/.cache/ecgkit``). A view
is made part by part and can be resumed; see `ecgkit.parts`. `ecgkit.store.view_rows` describes its files.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ecgkit.config import fingerprint
from ecgkit.errors import LeadError, StoreError
from ecgkit.executor import Executor
from ecgkit.parts import Part, make_parts
from ecgkit.progress import Advance
from ecgkit.signal.compact import CompactWindows, Records, put_windows, record_type
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.products import own_folder
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import (
    ROWS,
    SIGNAL,
    VerifiedRows,
    allocate_rows,
    checksum,
    code_hash,
    is_allocated,
    load_rows,
    unfinished_view,
    write_about,
)
from ecgkit.unfinished import whole_file

CHUNKS_PER_PART = 8  # large enough that handing out a part costs little compared with making it
SHORTEST = 1.0  # s; a shorter record contains no complete heartbeat, and is too short for filters


class Signals(Protocol):
    """Windows in mV by row, ``[R, L, W]``."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class View:
    """A store under one signal contract, before the crop.

    Args:
        spec: The signal contract.
        signal: ``[R, L, W]`` in mV, memory-mapped and verified when read (`VerifiedRows`); the L rows are the
            contract's leads in its order.
        present: bool ``[R, L]``, whether a record has a lead.
        lengths: int ``[R]``, number of real samples in each window.
    """

    spec: SignalSpec
    signal: Signals
    present: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Bool ``[R]``: whether a record has any of the contract's leads, and at least `SHORTEST` seconds of signal."""
        return self.present.any(1) & (self.lengths >= SHORTEST * self.spec.fs)

    def read(
        self, rows: NDArray[np.int64], starts: NDArray[np.int64], leads: NDArray[np.int64], out: NDArray[np.float32]
    ) -> None:
        """Write the crops of some rows and leads in mV into an array ``[B, k, T]``; see `CompactWindows.read`."""
        if isinstance(self.signal, CompactWindows):
            self.signal.read(rows, starts, leads, out)
            return
        T = out.shape[-1]
        for crop, row, start in zip(out, rows, starts, strict=True):
            np.take(self.signal[row][:, start : start + T], leads, axis=0, out=crop, mode="clip")

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
    unfinished_view(folder).tidy()
    signal = load_rows(folder, shape)
    if signal is None:
        signal = _make(store, spec, folder, shape, progress, executor)
    return View(spec, signal, present, signal.lengths)


def is_made(store: Store, spec: SignalSpec) -> bool:
    """Return whether the view of a store under a signal contract is there."""
    return load_rows(*_place(store, spec)) is not None


def maker_of_view(store: Store, spec: SignalSpec) -> str:
    """Return the process that makes a view at present; empty if none does."""
    return unfinished_view(_place(store, spec)[0]).holder()


def preview(store: Store, spec: SignalSpec) -> View:
    """Return a view whose windows are computed when they are read, one record at a time: for work on a few records."""
    kinds = store.table[["fs", "samples"]].drop_duplicates().itertuples(index=False)
    length = {
        (fs, T): window_of(np.zeros((1, min(T, round(spec.window * fs) + 1))), fs, spec)[1] for fs, T in kinds if T
    }
    rows = zip(store.table["fs"], store.table["samples"], strict=True)
    lengths = np.array([length.get(kind, 0) for kind in rows], np.int64)
    return View(spec, _Windows(store, spec), store.present(spec.leads), lengths)


class _Windows:
    """The windows of a store, ``[R, L, W]``, computed when they are read."""

    def __init__(self, store: Store, spec: SignalSpec) -> None:
        self.store, self.spec = store, spec
        self.shape = _shape(store, spec)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: Any) -> NDArray[np.float32]:
        """Return the window of a record, ``[L, W]``."""
        return next(_windows(self.store, self.spec, int(row), int(row) + 1))[0]


def before_filter(store: Store, view: View) -> View:
    """Return a view in mV, without the steps that the contract does on the window; the view itself if it has none."""
    raw = view.spec.raw
    return view if raw is view.spec else replace(open_view(store, raw), present=view.present)


def view_folder(store: Store, spec: SignalSpec) -> Path:
    """Return the folder of the view of a store under a signal contract."""
    return own_folder(store.path, store.content_hash, "views") / spec.view_key()


def _place(store: Store, spec: SignalSpec) -> tuple[Path, tuple[int, ...]]:
    """Return the folder and the shape of a view."""
    return view_folder(store, spec), _shape(store, spec)


def _shape(store: Store, spec: SignalSpec) -> tuple[int, ...]:
    return len(store), len(spec.leads), spec.window_samples


def _make(
    store: Store,
    spec: SignalSpec,
    folder: Path,
    shape: tuple[int, ...],
    progress: Advance | None,
    executor: Executor | None,
) -> VerifiedRows:
    """Make a view part by part, unless another process has made it in the meantime, and return its rows."""
    unfinished = unfinished_view(folder)
    with unfinished.open(wait=True):
        if (there := load_rows(folder, shape)) is not None:
            return there
        parts = _parts(store)
        code = code_hash()
        unfinished.begin(fingerprint(store.content_hash, spec.view_key(), code, [part.call for part in parts]))
        signal, rows = unfinished.made / SIGNAL, unfinished.made / ROWS
        if not is_allocated(signal, shape):
            for part in parts:
                (unfinished.parts / part.name).unlink(missing_ok=True)  # its rows were in a file that is lost
        allocate_rows(signal, shape, folder)
        make_parts(unfinished, partial(_fill, store, spec, signal, unfinished.parts), parts, executor, progress)
        made = [np.load(unfinished.parts / part.name) for part in parts]
        np.save(rows, np.concatenate([np.zeros((2, 0), np.int64), *made], axis=1))
        write_about(unfinished.made)
        unfinished.finish()
    found = load_rows(folder, shape)
    if found is None:
        raise StoreError(f"the view {folder} cannot be read back", remedy="Run the same command again.")
    return found


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
        signal: File of all rows, ``[R]``.
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
        for windows in _windows(store, spec, first, last):
            _write_all(descriptor, windows.records, place)
            place += windows.nbytes
            lengths.append(windows.lengths)
            checksums.append(np.array([checksum(row) for row in windows.as_int16.view(np.uint8)], np.int64))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with whole_file(parts / _part_name(first)) as path:
        np.save(path, np.stack([np.concatenate(lengths), np.concatenate(checksums)]))


def _windows(store: Store, spec: SignalSpec, first: int, last: int) -> Iterator[CompactWindows]:
    """Yield the windows of records `first` to `last` chunk by chunk."""
    columns = np.array([store.leads.index(lead) for lead in spec.leads if lead in store.leads])
    places = [spec.leads.index(store.leads[c]) for c in columns]
    rates, samples = store.table["fs"].to_numpy(), store.table["samples"].to_numpy()
    for start, stop in store.spans(first, last):
        block = store.verified(start, stop)
        records = np.zeros(stop - start, record_type(len(spec.leads), spec.window_samples))
        lengths = np.zeros(stop - start, np.int64)
        for fs, T in sorted(set(zip(rates[start:stop], samples[start:stop], strict=True))):
            same = np.flatnonzero((rates[start:stop] == fs) & (samples[start:stop] == T))
            signal = store.millivolts(block, start, same, columns, min(int(T), spec.samples_at(fs)))
            window, length = window_of(signal, fs, spec)
            put_windows(records, same, places, window, length)
            lengths[same] = length
        yield CompactWindows(records, lengths)


def _write_all(descriptor: int, records: Records, offset: int) -> None:
    left = records.view(np.uint8).data
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
