"""A task on a store: its records, their targets and their split."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.knowledge.extractions import Extraction
from ecgkit.store.reader import Store
from ecgkit.tasks.entity_targets import entity_targets
from ecgkit.tasks.icd_targets import icd_targets
from ecgkit.tasks.table import TableOrigin
from ecgkit.tasks.targets import Targets, code_targets, regression_targets, table_targets
from ecgkit.tasks.task import Task


@dataclass(frozen=True)
class TaskData:
    """A task on a store.

    Args:
        rows: Rows of the store that take part.
        targets: ``[len(rows), C]``: int8 of 0 and 1; for a regression float64, each column in its own unit.
        labels: The C short labels, or names of the regression targets.
        parts: Indices into `rows` by part: ``train``, ``val`` and ``test``.
        unusable: Number of labelled records that were left out because the model cannot read them.
        task: The task, reduced to these labels.
        notes: Remarks on the labels for readers of a result.
        table: The table that labels and split came from; None if there was none.
        left_out: For a regression, the number of records of its folds without a value, by reason.
        extraction: The extraction of entities that the labels came from; None if there was none.
    """

    rows: NDArray[np.int64]
    targets: NDArray[Any]
    labels: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]
    unusable: int
    task: Task
    notes: tuple[str, ...] = ()
    table: TableOrigin | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    extraction: Extraction | None = None

    def without_training(self) -> "TaskData":
        """Return the task without its training records, for a head that learns nothing from them."""
        kept = np.concatenate([self.parts["val"], self.parts["test"]])
        ends = len(self.parts["val"])
        parts = {"train": np.empty(0, np.int64), "val": np.arange(ends), "test": np.arange(ends, len(kept))}
        return replace(self, rows=self.rows[kept], targets=self.targets[kept], parts=parts)


def task_data(
    task: Task, name: str, store: Store, usable: NDArray[np.bool_] | None = None, *, numbers: bool = False
) -> TaskData:
    """Return a task's records, targets and split on a store.

    Args:
        task: The task.
        name: Name of the task, for messages.
        store: The store.
        usable: bool ``[R]``, which records the model can read; None means all.
        numbers: Whether the caller can handle a regression task.

    Raises:
        TaskError: The task is a regression but classes are needed, the store's labels use another code system, none of
            the task's labels occurs, or a part of the split is empty.
    """
    if task.regression is not None and not numbers:
        raise TaskError(f"{name} is a regression task", "a task with classes", "List tasks with: ecgkit plugins list")
    return _assemble(_targets(task, name, store), name, store, usable)


def _targets(task: Task, name: str, store: Store) -> Targets:
    if task.table is not None:
        return table_targets(task, task.table, store)
    if task.regression is not None:
        return regression_targets(task, task.regression, name, store)
    if task.icd10 is not None:
        return icd_targets(task, task.icd10, name, store)
    if task.entities is not None:
        return entity_targets(task, task.entities, name, store)
    return code_targets(task, name, store)


def _assemble(found: Targets, name: str, store: Store, usable: NDArray[np.bool_] | None) -> TaskData:
    """Reduce the parts to usable records, and join them in the order of the store."""
    task = found.task
    readable = np.ones(len(found.values), bool) if usable is None else usable
    wanted = np.sort(np.concatenate(list(found.members.values())))
    rows = wanted[readable[wanted]]
    parts = {part: np.flatnonzero(np.isin(rows, of)) for part, of in found.members.items()}
    _check_parts(parts, task, name, store)
    return TaskData(
        rows,
        found.values[rows],
        task.names,
        parts,
        len(wanted) - len(rows),
        task,
        found.notes,
        found.table,
        found.left_out,
        found.extraction,
    )


def _check_parts(parts: Mapping[str, NDArray[np.int64]], task: Task, name: str, store: Store) -> None:
    empty = [part for part, of in parts.items() if not len(of)]
    if empty:
        where = f" (folds {getattr(task.split, empty[0])})" if not (task.icd10 or task.table) else ""
        raise TaskError(f"{store.path} has no labelled record for the {empty[0]} part of {name}{where}")
