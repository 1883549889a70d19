"""What a store says of each record for a task: by code, from a table, or as numbers; `icd_targets` by ICD-10 codes.

Each way gives targets over all rows of the store and who is in which part; `ecgkit.tasks.data` makes a task on a store
of it.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.store.reader import Store
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.regression import Regression, target_values
from ecgkit.tasks.table import Table, TableOrigin, read_labels
from ecgkit.tasks.task import Label, Task


@dataclass(frozen=True)
class Targets:
    """What a store says for a task.

    Args:
        task: The task, with just the labels that are there.
        values: ``[R, C]`` over all rows of the store.
        members: Rows of the store by part, each in one part at most.
        notes: What a reader of a result should know of the labels.
        table: The table that labels and split came from, if they did.
        left_out: How many records of the task's folds have no value, by why.
    """

    task: Task
    values: NDArray[Any]
    members: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...] = ()
    table: TableOrigin | None = None
    left_out: dict[str, int] = field(default_factory=dict)


def code_targets(task: Task, name: str, store: Store) -> Targets:
    """Return the targets of a task whose labels are codes of the store.

    Raises:
        TaskError: See `check_codes`.
    """
    check_codes(task, name, store)
    values = label_matrix(list(store.table["labels"]), task, store.code_system)
    taken = np.ones(len(values), bool)
    if task.unlabelled == "drop":
        taken &= values.any(1)
    return Targets(task, values, task.split.members(store.table["fold"].to_numpy(), taken))


def table_targets(task: Task, table: Table, store: Store) -> Targets:
    """Return the targets of a task whose labels are in a table."""
    found = read_labels(table, tuple(task.labels), store.table, task.split.folds)
    labels = {label: task.labels.get(label, Label(label)) for label in found.labels}
    return Targets(replace(task, labels=labels), found.targets, found.members, found.notes, found.origin)


def regression_targets(task: Task, regression: Regression, name: str, store: Store) -> Targets:
    """Return the targets of a task of numbers; a record takes part that has every target."""
    folds = store.table["fold"].to_numpy()
    asked = np.isin(folds, [fold for of in task.split.folds.values() for fold in of])
    found = target_values(regression, name, store, asked)
    return Targets(task, found.values, task.split.members(folds, found.complete), left_out=found.left_out)


def check_codes(task: Task, name: str, store: Store) -> None:
    """Refuse a store whose labels are none, or of another code system than a task's.

    Raises:
        TaskError: They are.
    """
    labelled = bool(store.table["labels"].map(len).any())
    if store.code_system in task.systems and labelled:
        return
    has = f"labels of system {store.code_system!r}" if labelled else "no labels"
    raise TaskError(
        f"{store.path} ({store.attributes['dataset']}) has {has}",
        f"{' or '.join(map(repr, task.systems))} labels for task {name}",
        "Choose a task that fits the store; 'ecgkit inspect STORE' shows its labels.",
    )
