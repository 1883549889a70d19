"""Tests across institutions: a head is fitted and chosen on one store and tested on another.

Only the classes that both stores have are scored.

The other store's labels are read through the label map (`ecgkit.tasks.label_map`) where it has another code system. A
class that the map does not cover is left out, and the result names it with the reason.

All labelled records of the other store are tested, except those that the head is trained or chosen on. If the
encoder's pretraining saw some of that store, only its test fold is tested, as for every other result.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.probe.leaks import find_seen_copies
from ecgkit.evaluation.probe.opened import OpenedTask
from ecgkit.evaluation.results.facts import TransferFacts
from ecgkit.signatures.compare import find_copies
from ecgkit.signatures.make import store_signatures
from ecgkit.store.pair import StorePair, pair_views
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.folds import TEST_FOLD
from ecgkit.tasks.label_map import Carried, carry
from ecgkit.tasks.label_matrix import code_matrix
from ecgkit.tasks.task import Task

NAMED = 20  # left-out classes that a warning names one by one; the row's facts name all


def transfer_task(here: OpenedTask, other: Store, encoder: ProbedEncoder, view: View) -> OpenedTask:
    """Return a task whose head is trained and chosen on one store and tested on another.

    Args:
        here: The task on the store of the training records. Its test part is not used.
        other: The store to test on.
        encoder: The encoder; it states which records its pretraining saw.
        view: The other store as the encoder reads it.

    Raises:
        TaskError: The task is not one of codes, the two stores share no class, or no record is left to test.
    """
    task = here.data.task
    if task.icd10 is not None or not any(label.codes for label in task.labels.values()):
        raise TaskError(
            f"task {task.title!r} says its labels without codes", "a task of codes, for a test on another store"
        )
    home = here.store.attributes["dataset"] == other.attributes["dataset"]
    carried = carry(task, other.code_system, home=home)
    shared = [name for name in here.data.labels if name in carried.codes]
    if not shared:
        raise TaskError(
            f"{other.path} has labels of system {other.code_system!r}, and the label map has no class of "
            f"{task.title!r} there",
            "at least one class in both stores",
        )
    tested, known, test_fold = _tested(here, other, view, encoder)
    codes = {name: carried.codes[name] for name in shared}
    targets = code_matrix(list(other.table["labels"].iloc[tested]), codes)
    facts = TransferFacts(
        trained_on=here.store.name,
        trained_dataset=str(here.store.attributes["dataset"]),
        tested_on=other.name,
        tested_dataset=str(other.attributes["dataset"]),
        tested_records=len(tested),
        from_system=task.code_system,
        to_system=other.code_system,
        shared={name: tuple(of) for name, of in codes.items()},
        left_out=dict(carried.left_out),
        known=known,
        test_fold=test_fold,
    )
    data = _joined(here.data, len(here.store), other.name, tested, targets, shared)
    data = replace(data, notes=(*here.data.notes, *_left_out(carried), *_reasons(facts)))
    order = _follow(here.order, here.data, data)
    store = StorePair(here.store, other)
    return replace(here, store=store, view=pair_views(here.view, view), data=data, order=order, transfer=facts)


def _tested(
    here: OpenedTask, other: Store, view: View, encoder: ProbedEncoder
) -> tuple[NDArray[np.int64], int, int | None]:
    """Return the tested rows of the other store, the number of known records left out, and the only fold or None."""
    table, test_fold = other.table, None
    keep = view.usable & (table["labels"].map(len) > 0).to_numpy()
    known = _same_records(here, other)
    left_out = int((keep & known).sum())
    keep &= ~known
    seen = (table["sha256"].isin(encoder.seen) | pd.Series(other.patients).isin(encoder.seen_patients)).to_numpy()
    if seen.any() or find_seen_copies(encoder, other, np.flatnonzero(keep)).copies.any():
        test_fold = TEST_FOLD
        keep &= table["fold"].to_numpy() == TEST_FOLD
    if not keep.any():
        raise TaskError(f"no record of {other.path} is left to test", "labelled records that nothing was trained on")
    return np.flatnonzero(keep), left_out, test_fold


def _reasons(facts: TransferFacts) -> list[str]:
    """Say which records of the other store were not tested, and why."""
    found = []
    if facts.known:
        found.append(
            f"{facts.known} records of {facts.tested_on} left out: they or their patients are in the training "
            f"or validation part of {facts.trained_on}"
        )
    if facts.test_fold is not None:
        found.append(
            f"only fold {facts.test_fold} of {facts.tested_on} is tested, for pretraining saw some of its records"
        )
    return found


def _same_records(here: OpenedTask, other: Store) -> NDArray[np.bool_]:
    """Return which records of the other store belong to records or patients that the head is trained or chosen on.

    A record is recognised by the hash of its waveform, or as a copy by its signature.
    """
    used = np.concatenate([here.data.parts["train"], here.data.parts["val"]])
    rows = here.data.rows[used]
    same = other.table["sha256"].isin(here.store.table["sha256"].iloc[rows])
    known = pd.Series(here.store.patients[rows]).dropna()
    copies = find_copies(store_signatures(other), store_signatures(here.store).take(rows).thin()) >= 0
    return (same | pd.Series(other.patients).isin(known)).to_numpy() | copies


def _joined(
    data: TaskData, records: int, other: str, tested: NDArray[np.int64], targets: NDArray[np.int8], shared: list[str]
) -> TaskData:
    """Put the training and validation records of one store before the tested records of the other.

    Args:
        data: The task on the first store.
        records: Number of records of that store.
        other: Name of the other store.
        tested: The other store's rows that are tested.
        targets: Their targets, ``[len(tested), len(shared)]``.
        shared: The classes that both stores have.
    """
    columns = [data.labels.index(name) for name in shared]
    own = np.concatenate([data.parts["train"], data.parts["val"]])
    ends = np.cumsum([len(data.parts["train"]), len(data.parts["val"]), len(tested)])
    parts = {"train": np.arange(ends[0]), "val": np.arange(ends[0], ends[1]), "test": np.arange(ends[1], ends[2])}
    labels = {name: data.task.labels[name] for name in shared}
    task: Task = replace(data.task, labels=labels, challenge=None, title=f"{data.task.title}, tested on {other}")
    return replace(
        data,
        rows=np.concatenate([data.rows[own], tested + records]),
        targets=np.concatenate([data.targets[own][:, columns], targets]),
        labels=tuple(shared),
        parts=parts,
        task=task,
    )


def _follow(order: NDArray[np.int64], here: TaskData, there: TaskData) -> NDArray[np.int64]:
    """Return the training records as indices into the rows of the joined task.

    Args:
        order: Training records as indices into the rows of `here`, -1 for one that is not there.
        here: The task on the first store alone.
        there: The task on both stores.
    """
    moved = np.full(len(here.rows) + 1, -1)  # the last entry is what index -1 picks
    moved[here.parts["train"]] = there.parts["train"]
    return moved[order]


def _left_out(carried: Carried) -> list[str]:
    if not carried.left_out:
        return []
    names = list(carried.left_out)
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"not tested, for the other store has no such class: {', '.join(names[:NAMED])}{rest}"]
