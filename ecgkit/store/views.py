"""Views: a signal contract applied to a whole store once, up to the crop, and memory-mapped.

A view lies in ``STORE/views/HASH/`` under the hash of the steps that made it, so every run and probe with the same
contract shares it. Its signals are float32 ``[R, L, W]`` in mV at the contract's rate; leads that a record lacks
are 0 and marked as absent. Where the store's folder cannot be written, ``ECGKIT_CACHE`` (default
``~/.cache/ecgkit``) takes the view.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ecgkit.atomic import atomic_folder, locked
from ecgkit.config import fingerprint
from ecgkit.errors import LeadError
from ecgkit.executor import Executor, open_executor
from ecgkit.signal.microvolts import decode
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.reader import Store

Progress = Callable[[int, int], None]

CHUNKS_A_CALL = 8  # enough that handing them out costs nothing beside making them

SHORTEST = 1.0  # s; less holds no heartbeat, and no filter can work on it


@dataclass(frozen=True)
class View:
    """A store as one contract sees it, before the crop.

    Args:
        spec: The contract.
        signal: float32 ``[R, L, W]`` in mV, memory-mapped; L and its order are the contract's leads.
        present: bool ``[R, L]``, which record has which lead.
        lengths: int ``[R]``, how many samples of the window are real.
    """

    spec: SignalSpec
    signal: NDArray[np.float32]
    present: NDArray[np.bool_]
    lengths: NDArray[np.int64]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Bool ``[R]``: which records have any of the contract's leads, and at least `SHORTEST` seconds of them."""
        return self.present.any(1) & (self.lengths >= SHORTEST * self.spec.fs)

    def only(self, leads: Sequence[str]) -> "View":
        """Return the view as if no other leads had been recorded; scaling then goes by these alone.

        Raises:
            LeadError: None of the leads is the contract's.
        """
        kept = np.isin(self.spec.leads, leads)
        if not kept.any():
            raise LeadError(f"leads {', '.join(leads)}", f"some of the model's {', '.join(self.spec.leads)}")
        return replace(self, present=self.present & kept)


def open_view(
    store: Store, spec: SignalSpec, progress: Progress | None = None, executor: Executor | None = None
) -> View:
    """Open the view of a store under a contract, making it if it is not there yet.

    Args:
        store: The store.
        spec: The contract.
        progress: Called with records done and records in all while the view is made.
        executor: Who makes it; None for this process. The result is the same to the last bit.

    Raises:
        LeadError: The store has none of the contract's leads.
    """
    present = store.present(spec.leads)
    if not present.any():
        raise LeadError(f"{store.path} has leads {', '.join(store.leads)}", f"at least one of {', '.join(spec.leads)}")
    folder = cache_root(store, "views") / spec.view_key()
    shape = (len(store), len(spec.leads), spec.window_samples)
    cached = _load(folder, shape)
    if cached is None:
        with locked(folder.with_name(f".{folder.name}.lock"), wait=True):
            cached = _load(folder, shape)  # another run may have made it meanwhile
            if cached is None:
                _sweep(folder)
                with atomic_folder(folder, "view") as staging, open_executor() as here:
                    _make(store, spec, staging, executor or here, progress)
                cached = np.load(folder / "signal.npy", mmap_mode="r"), np.load(folder / "lengths.npy")
    return View(spec, cached[0], present, cached[1])


def before_filter(store: Store, view: View) -> View:
    """Return a view as it is before the contract's filter; the view itself where the filter follows the crop."""
    if view.spec.window_filter is None:
        return view
    return replace(open_view(store, replace(view.spec, filter=None)), present=view.present)


def _sweep(folder: Path) -> None:
    """Remove what processes left of this view that were killed; the lock says that none is at work on it."""
    for left in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(left, ignore_errors=True)


def _load(folder: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Return a cached view, or None if there is none or it is damaged: it is only a cache, and can be made again."""
    try:
        signal, lengths = np.load(folder / "signal.npy", mmap_mode="r"), np.load(folder / "lengths.npy")
    except (OSError, ValueError, EOFError):
        return None
    return (signal, lengths) if signal.shape == shape and lengths.shape == shape[:1] else None


def cache_root(store: Store, what: str) -> Path:
    """Return the folder for what is computed from a store and can be computed again: ``STORE/WHAT`` if it can be."""
    if os.access(store.path, os.W_OK):
        return store.path / what
    cache = Path(os.environ.get("ECGKIT_CACHE", "~/.cache/ecgkit")).expanduser()
    return cache / what / fingerprint(store.content_hash)


def _make(store: Store, spec: SignalSpec, folder: Path, executor: Executor, progress: Progress | None) -> None:
    """Write a view, some chunks of the store a call."""
    R, step, done = len(store), store.chunk_records * CHUNKS_A_CALL, 0
    open_memmap(folder / "signal.npy", "w+", np.float32, (R, len(spec.leads), spec.window_samples)).flush()
    lengths = np.zeros(R, np.int64)
    for start, part in executor.run(partial(_fill, store, spec, folder), range(0, R, step)):
        lengths[start : start + len(part)] = part
        done += len(part)
        if progress:
            progress(done, R)
    np.save(folder / "lengths.npy", lengths)


def _fill(store: Store, spec: SignalSpec, folder: Path, first: int) -> tuple[int, NDArray[np.int64]]:
    """Fill the rows of a view from `first` on; return that number and how many samples of each row are real."""
    columns = [store.leads.index(lead) for lead in spec.leads if lead in store.leads]
    rows_out = np.array([spec.leads.index(store.leads[c]) for c in columns])
    out = open_memmap(folder / "signal.npy", "r+")
    last = min(first + store.chunk_records * CHUNKS_A_CALL, len(store))
    lengths = np.zeros(last - first, np.int64)
    rates, samples = store.table["fs"].to_numpy(), store.table["samples"].to_numpy()
    for start in range(first, last, store.chunk_records):
        stop = min(start + store.chunk_records, last)
        block = decode(store.verified(start, stop))[:, columns]
        for fs, T in sorted(set(zip(rates[start:stop], samples[start:stop], strict=True))):
            same = np.flatnonzero((rates[start:stop] == fs) & (samples[start:stop] == T))
            window, length = window_of(block[same][..., :T], fs, spec)
            out[np.ix_(start + same, rows_out)] = window
            lengths[start - first + same] = length
    out.flush()
    return first, lengths
