"""Targets of a task for the records of a store: by code, from a table, or as numbers.

`icd_targets` does ICD-10 codes, and `entity_targets` the entities of reports.

Each function returns targets for all rows of the store, and the split. `ecgkit.tasks.data` combines them into a task
on a store.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.knowledge.extractions import Extraction
from ecgkit.store.reader import Store
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.regression import Regression, target_values
from ecgkit.tasks.table import Table, TableOrigin, read_labels
from ecgkit.tasks.task import Label, Task


@dataclass(frozen=True)
class Targets:
    """The targets of a task on a store.

    Args:
        task: The task, reduced to the labels that occur.
        values: ``[R, C]`` for all rows of the store.
        members: Rows of the store by part; each row is in at most one part.
        notes: Remarks for readers of a result.
        table: The table that labels and split came from; None if there was none.
        left_out: Number of records of the task's folds without a value, by reason.
        extraction: The extraction of entities that the labels came from; None if there was none.
    """

    task: Task
    values: NDArray[Any]
    members: dict[str, NDArray[np.int64]]
    notes: tuple[str, ...] = ()
    table: TableOrigin | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    extraction: Extraction | None = None


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
    records = store.table[["record_id", "patient_id", "fold"]]
    found = read_labels(table, tuple(task.labels), records, task.split.folds)
    labels = {label: task.labels.get(label, Label(label)) for label in found.labels}
    return Targets(replace(task, labels=labels), found.targets, found.members, found.notes, found.origin)


def regression_targets(task: Task, regression: Regression, name: str, store: Store) -> Targets:
    """Return the targets of a regression task. A record takes part if it has every target."""
    folds = store.table["fold"].to_numpy()
    asked = np.isin(folds, [fold for of in task.split.folds.values() for fold in of])
    found = target_values(regression, name, store, asked)
    return Targets(task, found.values, task.split.members(folds, found.complete), left_out=found.left_out)


def check_codes(task: Task, name: str, store: Store) -> None:
    """Check that a store has labels, and that they use one of a task's code systems.

    Raises:
        TaskError: The store has no labels, or labels of another code system.
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
