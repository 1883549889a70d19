"""Batches from a view: the split, the order of the records, and their crops.

A batch holds records of one lead set, so that it is rectangular and no absent lead is fed to a model. Order and crops
depend only on the seed, the epoch and the record's row, not on the number of workers.
"""

import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ecgkit.errors import StoreError
from ecgkit.interrupt import STOPPING
from ecgkit.leads import lead_ids
from ecgkit.methods import Batch, Sampler
from ecgkit.nn.crops import is_linear
from ecgkit.signal.compact import CompactWindows
from ecgkit.signal.spec import finish
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.folds import TEST_FOLD, VAL_FOLD
from ecgkit.training.placing import CountsBatch, counts_batch
from ecgkit.training.streaming import Stream
from ecgkit.training.supply import Supply
from ecgkit.training.views import AugmentedViews

# What a batch holds besides the signal, by name.
Supplies = Mapping[str, Supply | AugmentedViews]


@dataclass(frozen=True)
class Split:
    """Rows of a store for pretraining.

    Args:
        train: Training rows.
        val: Validation rows. They share no known patient with the training rows.
        held_out: Rows of the test fold. They are not used, so that a later probe can test on them.
        unusable: Rows that have none of the model's leads, or too little signal.
    """

    train: NDArray[np.int64]
    val: NDArray[np.int64]
    held_out: NDArray[np.int64]
    unusable: NDArray[np.int64]

    def parts(self) -> dict[str, NDArray[np.int64]]:
        """Return the rows of each part by its name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def pretraining_split(folds: "pd.Series[Any]", usable: NDArray[np.bool_], *, all_folds: bool = False) -> Split:
    """Split records by fold, and so by patient: folds 1-8 for training, 9 for validation, 10 held out.

    Args:
        folds: ``[R]``, the fold of each record. It is published, or depends only on the patient.
        usable: ``[R]``, whether each record can be fed to the model; see `View.usable`.
        all_folds: Also train on the held-out fold.

    Raises:
        StoreError: There are no training or no validation records.
    """
    fold = np.where(usable, folds.to_numpy(), 0)
    test = fold == (0 if all_folds else TEST_FOLD)
    train, val = (np.flatnonzero(rows) for rows in ((fold > 0) & (fold != VAL_FOLD) & ~test, fold == VAL_FOLD))
    if not len(train) or not len(val):
        raise StoreError(
            f"the store's {len(folds)} records give {len(train)} training and {len(val)} validation records",
            remedy="Ingest more records: each patient is in one fold; folds 1-8 are for training, 9 for validation.",
        )
    return Split(train, val, np.flatnonzero(test & usable), np.flatnonzero(~usable))


def subset_by_patient(split: Split, units: NDArray[np.object_], records: int, seed: int) -> Split:
    """Return a split with fewer training records, chosen patient by patient; the other parts stay.

    The patients stand in a random order that the seed decides, and are taken as long as their records fit. So a smaller
    subset of the same seed lies within a larger one.

    Args:
        split: The split.
        units: ``[R]``, the patient of each row of the store, or its recording; see `Store.units`.
        records: Largest number of training records.
        seed: Seed of the order.

    Raises:
        StoreError: There are fewer training records, or the first patient alone has more.
    """
    if records > len(split.train):
        raise StoreError(
            f"a subset of {records:,} training records, and there are {len(split.train):,}",
            remedy="Give a smaller --subset, or leave it out.",
        )
    names, patient, count = np.unique(units[split.train], return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 2]).permutation(len(names))
    taken = order[: int(np.searchsorted(np.cumsum(count[order]), records, side="right"))]
    if not len(taken):
        raise StoreError(f"a subset of {records:,} training records is less than one patient has", remedy="Give more.")
    return replace(split, train=split.train[np.isin(patient.ravel(), taken)])


def task_split(data: TaskData) -> Split:
    """Return the split of a task, for training on its labels; its test set is held out."""
    train, val, test = (data.rows[data.parts[part]] for part in ("train", "val", "test"))
    return Split(train, val, test, np.empty(0, np.int64))


class Windows(Dataset[Batch]):
    """Builds a batch of a view from row numbers.

    Args:
        view: The view.
        starts: ``[R]``, start of each record's crop, in samples.
        supplies: Supplies by need: the contents of a batch besides the signal, including augmented views.
    """

    def __init__(
        self,
        view: View,
        starts: NDArray[np.int64],
        supplies: Supplies = MappingProxyType({}),
    ) -> None:
        self.view = view
        self.starts = starts
        self.supplies = supplies

    def __getitem__(self, rows: NDArray[np.int64]) -> Batch:
        """Return the batch of `rows`, which must be of one lead set."""
        leads, starts = np.flatnonzero(self.view.present[rows[0]]), self.starts[rows]
        signal, lengths = self._crops(rows, leads, starts)
        return self._batch(rows, leads, starts, signal, lengths)

    def counts(self, rows: NDArray[np.int64], *, held: bool) -> "Batch | CountsBatch":
        """Return the batch of `rows` with counts as its signal, for `Placing`, or the batch itself where it needs more.

        Augmentations work on whole crops, and a filter of crops is a matrix for crops of the full length only.
        """
        leads, starts = np.flatnonzero(self.view.present[rows[0]]), self.starts[rows]
        lengths = self._lengths(rows, starts)
        spec = self.view.spec
        is_plain = spec.crop_filter is None or (is_linear(spec) and bool((lengths >= spec.samples).all()))
        is_augmented = any(isinstance(supply, AugmentedViews) for supply in self.supplies.values())
        if not is_plain or is_augmented or not isinstance(self.view.signal, CompactWindows):
            return self[rows]
        rest = self._batch(rows, leads, starts, torch.empty(0, 0, spec.samples), lengths)
        return counts_batch(self.view, starts, leads, rest, held=held)

    def _batch(
        self,
        rows: NDArray[np.int64],
        leads: NDArray[np.int64],
        starts: NDArray[np.int64],
        signal: Tensor,
        lengths: NDArray[np.int64],
    ) -> Batch:
        ids = np.array(lead_ids(self.view.spec.leads))[leads]
        extra: dict[str, Any] = {}
        for need, supply in self.supplies.items():
            if isinstance(supply, AugmentedViews):
                extra[need] = self._views(supply, rows, leads, (signal, lengths))
            else:
                extra[need] = supply.at(rows, starts)
        full = bool((lengths >= signal.shape[-1]).all())
        tensors = [torch.from_numpy(array) for array in (ids, rows, lengths)]
        return Batch(signal, tensors[0], tensors[1], None if full else tensors[2], extra)

    def _crops(
        self, rows: NDArray[np.int64], leads: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Return crops ``[B, L, T]``, filtered and scaled, and the number of real (unpadded) samples of each."""
        spec, T = self.view.spec, self.view.spec.samples
        # Of torch, for it aligns its memory: numbers then do not depend on where a batch happens to lie.
        batch = torch.empty(len(rows), len(leads), T)
        crops = batch.numpy()
        self.view.read(rows, starts, leads, crops)
        lengths = self._lengths(rows, starts)
        finish(crops, spec, lengths, out=crops)
        return batch, lengths

    def _lengths(self, rows: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of real samples of each crop, ``[B]``."""
        return (self.view.lengths[rows] - starts).clip(0, self.view.spec.samples)

    def _views(self, maker: AugmentedViews, rows: NDArray[np.int64], leads: NDArray[np.int64], shared: Any) -> Tensor:
        names = tuple(self.view.spec.leads[lead] for lead in leads)
        room = (self.view.lengths[rows] - self.view.spec.samples).clip(0)
        return maker.of(rows, names, room, shared, lambda starts: self._crops(rows, leads, starts))


def training_starts(view: View, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return a random start of each record's crop in an epoch; 0 if the record is not longer than the crop."""
    room = (view.lengths - view.spec.samples).clip(0)
    if view.spec.crop == "start":
        return np.zeros_like(room)
    share = np.random.default_rng([seed, epoch, 1]).random(len(room))  # row by row, whatever the others' lengths
    return (share * (room + 1)).astype(np.int64)


def evaluation_starts(view: View, offset: int) -> NDArray[np.int64]:
    """Return the start of each record's evaluation crop: `offset`, or earlier if the record is too short."""
    return np.minimum(offset, (view.lengths - view.spec.samples).clip(0))


def plan_batches(
    view: View,
    rows: NDArray[np.int64],
    batch_size: int,
    order: tuple[int, int] | None = None,
    *,
    sampler: Sampler | None = None,
    fewest: int = 1,
) -> list[NDArray[np.int64]]:
    """Group rows into batches of one lead set.

    Args:
        view: The view.
        rows: The rows to use. All must be usable.
        batch_size: Rows per batch. The last batch of a lead set may be smaller.
        order: Seed and epoch of the shuffle; None keeps the order of `rows`.
        sampler: Gives groups of rows that stay together in a batch.
        fewest: Fewest rows of a batch. A smaller rest joins the batch before it; if there is none, it is left out.

    Returns:
        The batches, each an array of rows. With a sampler, the rows are ordered group by group.
    """
    rng = np.random.default_rng([*order, 0] if order else 0)
    if order:
        rows = rng.permutation(rows)
    lead_set = lead_sets(view.present[rows])
    batches = []
    for number in range(int(lead_set.max()) + 1 if len(rows) else 0):
        members = rows[lead_set == number]
        groups = members[:, None] if sampler is None else sampler(members, rng)
        batches += _cut_batches(groups, batch_size, fewest)
    return [batches[i] for i in rng.permutation(len(batches))] if order else batches


def stream_batches(
    view: View, rows: NDArray[np.int64], batch_size: int, order: tuple[int, int], stream: Stream, *, fewest: int = 1
) -> list[NDArray[np.int64]]:
    """Group rows into batches of one lead set, in the order in which blocks are read; see `plan_batches`."""
    dealt, process = stream.dealt(np.sort(rows), np.random.default_rng([*order, 0]))
    read = np.empty(int(rows.max()) + 1, np.int64)  # when each row is read
    read[dealt] = np.arange(len(dealt)) - np.searchsorted(process, process)
    lead_set = lead_sets(view.present[dealt])
    batches = []
    for number in range(int(lead_set.max()) + 1):
        own = lead_set == number
        batches += _cut_batches(stream.mixed(dealt[own], process[own])[:, None], batch_size, fewest)
    return sorted(batches, key=lambda batch: int(read[batch].max()))


def lead_sets(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of each record's lead set, ``[n]``, for ``present [n, L]``; sets are numbered in order."""
    bits = np.packbits(present, axis=1)
    if bits.shape[1] > 8:
        return np.unique(present, axis=0, return_inverse=True)[1].ravel()
    # Numbers are sorted much faster than rows. The first lead is the highest bit, so the order is the same.
    numbers = np.zeros(len(present), np.uint64)
    for byte in bits.T:
        numbers = numbers << np.uint64(8) | byte
    return np.unique(numbers, return_inverse=True)[1]


def _cut_batches(groups: NDArray[np.int64], batch_size: int, fewest: int) -> list[NDArray[np.int64]]:
    """Cut groups ``[n, g]`` into batches of whole groups."""
    size = max(1, batch_size // groups.shape[1])
    batches = [groups[i : i + size].ravel() for i in range(0, len(groups), size)]
    if batches and len(batches[-1]) < fewest:
        rest = batches.pop()
        if batches:
            batches[-1] = np.concatenate([batches[-1], rest])
    return batches


def supplies_in(supplies: Supplies, epoch: int) -> Supplies:
    """Return the supplies of an epoch: augmented views depend on the epoch, all others do not."""
    return {n: s.in_epoch(epoch) if isinstance(s, AugmentedViews) else s for n, s in supplies.items()}


class Epochs(Dataset[Batch]):
    """Builds the batches of any epoch from (epoch, rows), with that epoch's crops."""

    def __init__(self, view: View, seed: int, supplies: Supplies) -> None:
        self.view, self.seed, self.supplies = view, seed, supplies
        self._current: tuple[int, Windows] | None = None

    def __getitem__(self, order: tuple[int, NDArray[np.int64]]) -> Batch:
        """Return the batch of these rows in that epoch."""
        epoch, rows = order
        return self._windows(epoch)[rows]

    def counts(self, order: tuple[int, NDArray[np.int64]], *, held: bool) -> "Batch | CountsBatch":
        """Return the batch with counts as its signal; see `Windows.counts`."""
        epoch, rows = order
        return self._windows(epoch).counts(rows, held=held)

    def _windows(self, epoch: int) -> Windows:
        if self._current is None or self._current[0] != epoch:
            starts = training_starts(self.view, self.seed, epoch)
            self._current = epoch, Windows(self.view, starts, supplies_in(self.supplies, epoch))
        return self._current[1]


class AsCounts(Dataset["Batch | CountsBatch"]):
    """Batches with counts as their signal.

    Args:
        windows: The batches.
        held: Whether the view lives on the device.
    """

    def __init__(self, windows: "Windows | Epochs", *, held: bool) -> None:
        self.windows, self.held = windows, held

    def __getitem__(self, item: Any) -> "Batch | CountsBatch":
        """Return one batch."""
        return self.windows.counts(item, held=self.held)


def load_batches(windows: Dataset[Batch], batches: Iterable[Any]) -> Iterator[Batch]:
    """Yield the batches in order, loaded in this process; see `loader`."""
    yield from loader(windows, batches)


def loader(windows: Dataset[Any], batches: Iterable[Any], workers: int = 0, *, pin: bool = False) -> DataLoader[Any]:
    """Return a loader that yields the batches in order and can be iterated repeatedly.

    Args:
        windows: Maps an item of `batches` to a batch.
        batches: The keys of the batches for `windows`, such as the rows of each batch.
        workers: Number of persistent loading processes; 0 loads in this process.
        pin: Copy the batches to pinned memory, so that transfers to a GPU overlap with its computation.
    """
    # batch_size None: each item of the sampler is a whole batch already. A generator of its own: a loader draws a seed
    # from torch's when it starts, and a training that goes on in mid-epoch must not draw it twice.
    return DataLoader(
        windows,
        sampler=batches,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        generator=torch.Generator(),
        worker_init_fn=_leave_signals,
    )


def _leave_signals(worker: int) -> None:
    """Ignore stop signals in a loading process: the training still needs batches to finish its step and save.

    SIGTERM from the parent process must still end it, because Python terminates its child processes at exit and waits.
    """
    for number in STOPPING:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # Linux; elsewhere torch ends the process, whoever asks
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()


def _obey_parent(parent: int) -> None:
    """End this process if the signal comes from its parent; ignore it otherwise."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
