"""Targets of a task whose classes are the entities that an extraction found in the reports of a store."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError, did_you_mean
from ecgkit.knowledge.extractions import chosen_extraction, extraction_of, read_extraction
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, Entities, read_labels
from ecgkit.store.reader import Store
from ecgkit.tasks.targets import Targets
from ecgkit.tasks.task import EntityLabels, Label, Task

CHOOSE = "--task-set entities.name=NAME, or with entities: {name: NAME} in a task file of your own"


def entity_targets(task: Task, wanted: EntityLabels, name: str, store: Store) -> Targets:
    """Return the targets of a task with entities. A record takes part if its whole report was read.

    Raises:
        StoreError: The store has no entities, lacks the extraction, or has several and none is chosen.
        TaskError: An entity is unknown, or none is present in enough training records.
    """
    chosen = chosen_extraction(store, wanted.name, CHOOSE)
    entities = read_labels(store, chosen)
    taken = entities.complete.copy()
    columns = _columns(entities, wanted, name)
    values = (entities.values == PRESENT) | ((entities.values == UNCERTAIN) & (wanted.uncertain == "positive"))
    train = np.isin(store.table["fold"].to_numpy(), task.split.train)
    columns = _frequent(columns, values[train & taken], wanted)
    if wanted.uncertain == "drop":
        taken &= ~(entities.values[:, columns] == UNCERTAIN).any(1)
        columns = _frequent(columns, values[train & taken], wanted)
    if not len(columns):
        raise TaskError(
            f"no entity of extraction {chosen} of {store.path} is present in {wanted.min_count} training records",
            remedy="Ask for fewer, with --task-set entities.min_count=N.",
        )
    targets = values[:, columns].astype(np.int8)
    without = int((~entities.complete).sum())
    notes = [f"{without} records left out, whose report is missing or was not read completely"] if without else []
    unsure = int((entities.complete & ~taken).sum())
    notes += [f"{unsure} records left out, whose report is unsure of a class"] if unsure else []
    if task.unlabelled == "drop":
        taken &= targets.any(1)
    labels = {entities.names[column]: Label(entities.names[column]) for column in columns}
    members = task.split.members(store.table["fold"].to_numpy(), taken)
    origin = extraction_of(entities, chosen)
    return Targets(replace(task, labels=labels), targets, members, tuple(notes), extraction=origin)


def labels_hash(store: Store, wanted: EntityLabels) -> str:
    """Return the hash of the extraction that a task reads; see `Extraction.sha256`.

    Raises:
        StoreError: As in `entity_targets`.
    """
    return read_extraction(store, chosen_extraction(store, wanted.name, CHOOSE)).sha256


def _columns(entities: Entities, wanted: EntityLabels, name: str) -> NDArray[np.int64]:
    """Return the columns of the entities that are asked for: by default all."""
    for entity in wanted.only:
        if entity not in entities.names:
            raise TaskError(f"task {name} has no entity {entity!r}", remedy=did_you_mean(entity, entities.names))
    chosen = wanted.only or entities.names
    return np.array([column for column, entity in enumerate(entities.names) if entity in chosen], np.int64)


def _frequent(columns: NDArray[np.int64], values: NDArray[np.bool_], wanted: EntityLabels) -> NDArray[np.int64]:
    return columns[np.count_nonzero(values[:, columns], axis=0) >= wanted.min_count]
