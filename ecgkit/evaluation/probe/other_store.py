"""Across institutions: a head fitted and chosen on one store, tested on another, on the classes that both have.

The other store's labels are read through the label map (`ecgkit.tasks.label_map`) where it has another code system. A
class that the map does not cover is left out, and the result names it with the reason.

All of the other store's records with labels are tested, but for those that were trained or chosen on here; where the
encoder's pretraining saw some of that store, only its test folds are, as everywhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.store.pair import StorePair, pair_views
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.folds import TEST_FOLD
from ecgkit.tasks.label_map import Carried, carry
from ecgkit.tasks.label_matrix import code_matrix
from ecgkit.tasks.task import Task

NAMED = 20  # left-out classes that the terminal's warning names one by one; the row's protocol names all


@dataclass(frozen=True)
class Site:
    """A task where it is evaluated: the store, its view under the model's contract, and the task's records in it.

    Args:
        store: The store.
        view: Its view.
        data: The task's records, targets and parts.
    """

    store: Store
    view: View
    data: TaskData


def across(
    here: Site, other: Store, subject: Subject, narrow: Callable[[View], View], progress: Callable[[int, int], None]
) -> Site:
    """Return a site that trains and chooses on one store and tests on another.

    Args:
        here: Where it is trained; its test part takes no part.
        other: Where it is tested.
        subject: The encoder, for its contract and for what its pretraining saw.
        narrow: Reduces a view to the leads that the model is given.
        progress: Called with records done and in all while the other store's view is made.

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
            f"{task.title!r} there", "at least one class in both stores",
        )  # fmt: skip
    view = narrow(open_view(other, subject.spec, progress))
    tested, told = _tested(here, other, view, subject)
    targets = code_matrix(list(other.table["labels"].iloc[tested]), {name: carried.codes[name] for name in shared})
    store = StorePair(here.store, other)
    data = _joined(here, other.name, tested, targets, shared)
    notes = (*here.data.notes, *_left_out(carried), *told.values())
    words = _told(here, other, shared, carried, len(tested), told)
    return Site(store, pair_views(here.view, view), replace(data, notes=notes, told={**here.data.told, **words}))


def _tested(here: Site, other: Store, view: View, subject: Subject) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Return the other store's rows that are tested, and what was left out and why."""
    table, told = other.table, {}
    keep = view.usable & (table["labels"].map(len) > 0).to_numpy()
    known = _same_records(here, other)
    if (keep & known).any():
        told["records in both"] = (
            f"{int((keep & known).sum())} records of {other.name} left out: they or their patients are in the training "
            f"or validation part of {here.store.name}"
        )
    keep &= ~known
    seen = (table["sha256"].isin(subject.seen) | pd.Series(other.patients).isin(subject.seen_patients)).to_numpy()
    if seen.any():
        told["folds"] = f"only fold {TEST_FOLD} of {other.name} is tested, for pretraining saw some of its records"
        keep &= table["fold"].to_numpy() == TEST_FOLD
    if not keep.any():
        raise TaskError(f"no record of {other.path} is left to test", "labelled records that nothing was trained on")
    return np.flatnonzero(keep), told


def _same_records(here: Site, other: Store) -> NDArray[np.bool_]:
    """Return which records of the other store, or whose patients, the head is trained or chosen on."""
    used = np.concatenate([here.data.parts["train"], here.data.parts["val"]])
    rows = here.data.rows[used]
    same = other.table["sha256"].isin(here.store.table["sha256"].iloc[rows])
    known = pd.Series(here.store.patients[rows]).dropna()
    return (same | pd.Series(other.patients).isin(known)).to_numpy()


def _joined(
    here: Site, tested_on: str, tested: NDArray[np.int64], targets: NDArray[np.int8], shared: list[str]
) -> TaskData:
    """Put the training and validation records of one store before the tested records of the other."""
    data, columns = here.data, [here.data.labels.index(name) for name in shared]
    own = np.concatenate([data.parts["train"], data.parts["val"]])
    ends = np.cumsum([len(data.parts["train"]), len(data.parts["val"]), len(tested)])
    parts = {"train": np.arange(ends[0]), "val": np.arange(ends[0], ends[1]), "test": np.arange(ends[1], ends[2])}
    labels = {name: data.task.labels[name] for name in shared}
    task: Task = replace(data.task, labels=labels, challenge=None, title=f"{data.task.title}, tested on {tested_on}")
    return replace(
        data,
        rows=np.concatenate([data.rows[own], tested + len(here.store)]),
        targets=np.concatenate([data.targets[own][:, columns], targets]),
        labels=tuple(shared),
        parts=parts,
        task=task,
    )


def follow(order: NDArray[np.int64], here: TaskData, there: TaskData) -> NDArray[np.int64]:
    """Return where training records went.

    Args:
        order: Training records as indices into the rows of `here`, -1 for one that is not there.
        here: The task before `across`.
        there: The task after it.
    """
    moved = np.full(len(here.rows) + 1, -1)  # the last stands for -1
    moved[here.parts["train"]] = there.parts["train"]
    return moved[order]


def _left_out(carried: Carried) -> list[str]:
    if not carried.left_out:
        return []
    names = list(carried.left_out)
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"not tested, for the other store has no such class: {', '.join(names[:NAMED])}{rest}"]


def _told(
    here: Site, other: Store, shared: list[str], carried: Carried, tested: int, told: dict[str, str]
) -> dict[str, str]:
    """Say what was done, for the row and the page."""
    own, system = here.data.task.code_system, other.code_system
    via = "the same codes" if own == system else f"the label map, from {own} to {system}"
    return {
        "trained on": f"{here.store.name} ({here.store.attributes['dataset']}), its train and val parts",
        "tested on": f"{other.name} ({other.attributes['dataset']}), {tested} records",
        "shared classes": f"{len(shared)}, by {via}: "
        + "; ".join(f"{name} = {' or '.join(carried.codes[name])}" for name in shared),
        "classes left out": "; ".join(f"{name}: {why}" for name, why in carried.left_out.items()) or "none",
        "unlabelled records": "training store as the task says; tested store: records without any label are left out, "
        "others without a shared class are negatives",
        "split": f"{_folds(here)} of {here.store.name}; test is {'' if told else 'all of '}{other.name}"
        + "".join(f"; {reason}" for reason in told.values()),
    }


def _folds(here: Site) -> str:
    if "split" in here.data.told:
        return f"train and val ({here.data.told['split']})"
    split = here.data.task.split
    return f"train folds {', '.join(map(str, split.train))} and val folds {', '.join(map(str, split.val))}"
