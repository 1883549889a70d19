"""What an evaluation task is: which records, which labels, which split. Each is a small YAML file in this folder.

title, code_system, split      what the task is, whose codes it reads, how records are split
labels                         label -> name in words, and the codes any of which makes it positive
unlabelled                     drop: leave out records with none of the labels; keep: take them as negatives
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from ecgkit.config import build
from ecgkit.entries import TaskEntry
from ecgkit.errors import TaskError
from ecgkit.store.reader import Store
from ecgkit.tasks.folds import TEST_FOLD, TRAIN_FOLDS, VAL_FOLD


@dataclass(frozen=True)
class Label:
    """One class of a task.

    Args:
        name: In words.
        codes: The dataset's codes, any of which makes a record positive.
    """

    name: str
    codes: tuple[str, ...]


@dataclass(frozen=True)
class FoldSplit:
    """Which folds of a store's record table are which part; folds go by patient."""

    train: tuple[int, ...] = TRAIN_FOLDS
    val: tuple[int, ...] = (VAL_FOLD,)
    test: tuple[int, ...] = (TEST_FOLD,)


@dataclass(frozen=True)
class Task:
    """A multi-label classification task.

    Args:
        title: In words.
        code_system: The codes that it reads: ``scp``, ``snomed``, ...
        labels: Its classes by short label, in order.
        split: Which folds are which part.
        unlabelled: What becomes of a record with none of the labels.
        source: Where labels and split are defined.
    """

    title: str
    code_system: str
    labels: dict[str, Label]
    split: FoldSplit = FoldSplit()
    unlabelled: Literal["drop", "keep"] = "drop"
    source: str = ""


@dataclass(frozen=True)
class TaskData:
    """A task on a store.

    Args:
        rows: The store's rows that take part.
        targets: ``[len(rows), C]`` of 0 and 1.
        labels: The C short labels.
        parts: ``train``, ``val`` and ``test`` as indices into `rows`.
        unusable: How many labelled records were left out because the model cannot read them.
    """

    rows: NDArray[np.int64]
    targets: NDArray[np.int8]
    labels: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]
    unusable: int


def load_task(entry: TaskEntry) -> Task:
    """Read a task's data file."""
    package, _, file = entry.target.partition(":")
    values = yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    return build(Task, values, source=entry.target)


def task_data(task: Task, name: str, store: Store, usable: NDArray[np.bool_] | None = None) -> TaskData:
    """Return a task's records, targets and split on a store.

    Args:
        task: The task.
        name: Its name, for messages.
        store: The store.
        usable: ``[R]``, which records the model can read; None means all.

    Raises:
        TaskError: The store's labels are of another system, none of the task's labels occurs, or a part is empty.
    """
    codes = store.table["labels"]
    if store.code_system != task.code_system or not codes.map(len).any():
        has = f"labels of system {store.code_system!r}" if codes.map(len).any() else "no labels"
        raise TaskError(
            f"{store.path} ({store.attributes['dataset']}) has {has}",
            f"{task.code_system!r} labels for task {name}",
            "Choose a task that fits the store; 'ecgkit inspect STORE' shows its labels.",
        )
    targets = label_matrix(codes, task)
    labelled = targets.any(1) if task.unlabelled == "drop" else np.ones(len(targets), bool)
    rows = np.flatnonzero(labelled if usable is None else labelled & usable)
    folds = store.table["fold"].to_numpy()[rows]
    split = {"train": task.split.train, "val": task.split.val, "test": task.split.test}
    parts = {part: np.flatnonzero(np.isin(folds, members)) for part, members in split.items()}
    empty = [part for part, members in parts.items() if not len(members)]
    if empty:
        raise TaskError(
            f"{store.path} has no record for the {empty[0]} part of {name} (folds {split[empty[0]]})",
            "labelled records in every part",
        )
    return TaskData(rows, targets[rows], tuple(task.labels), parts, int(labelled.sum()) - len(rows))


def label_matrix(codes: "pd.Series[list[str]]", task: Task) -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 where a record has any of a label's codes, whatever its likelihood."""
    columns = [set(label.codes) for label in task.labels.values()]
    return np.array([[not wanted.isdisjoint(record) for wanted in columns] for record in codes], np.int8)
