"""Targets of a task with ICD-10 codes of MIMIC-IV-ECG-Ext-ICD. The data decide which labels there are."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.store.reader import Store
from ecgkit.tasks.icd10 import CATEGORY, parent, tree_order
from ecgkit.tasks.icd_benchmark import COLUMNS, FLAGS, Scenario, ScenarioLabels, scenario_labels
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.targets import Targets, check_codes
from ecgkit.tasks.task import Icd10, Label, Task


def icd_targets(task: Task, icd: Icd10, name: str, store: Store) -> Targets:
    """Return the targets of a task with ICD-10 codes.

    Raises:
        TaskError: The store has no ICD-10 codes, or too few.
    """
    check_codes(task, name, store)
    found = _scenario_labels(icd, name, store)
    order = tree_order(found.vocabulary) if icd.tree else list(found.vocabulary)
    concrete = replace(task, labels={label: Label(_name(task, label), (label,)) for label in order})
    return Targets(concrete, _matrix(found, concrete), found.parts, (_told(icd, len(order)),))


def _scenario_labels(icd: Icd10, name: str, store: Store) -> ScenarioLabels:
    """Return the labels of a scenario.

    Raises:
        TaskError: The store lacks the table of diagnoses, or no label is frequent enough.
    """
    scenario = Scenario.parse(icd.scenario)
    needed = {*COLUMNS.values(), *FLAGS.values(), "ecg_no_within_stay", "icd_fold"}
    missing = sorted(needed - set(store.table))
    if missing:
        raise TaskError(
            f"{store.path} has no columns {', '.join(missing)}",
            "the table of MIMIC-IV-ECG-Ext-ICD",
            "Ingest MIMIC-IV-ECG with records_w_diag_icd10.csv in its folder.",
        )
    found = scenario_labels(scenario, store.table[sorted(needed)], tree=icd.tree, count_on=icd.count_on)
    if not found.vocabulary:
        raise TaskError(
            f"no label of {name} has {scenario.min_count} rows in {store.path}",
            "a larger store",
            f"Or ask for fewer, with --task-set icd10.scenario={icd.scenario.replace(f'_{scenario.min_count}', '_5')}",
        )
    return found


def _told(icd: Icd10, labels: int) -> str:
    told = f"{labels} labels with at least {Scenario.parse(icd.scenario).min_count} rows"
    if icd.published and labels != icd.published:
        return f"{told}; the publication has {icd.published}, from a threshold that it does not state"
    return told


def _matrix(found: ScenarioLabels, task: Task) -> NDArray[np.int8]:
    """Return ``[R, C]``: training labels in the training rows, test labels in all other rows."""
    rows = list(found.test)
    for row in found.parts["train"]:
        rows[row] = found.train[row]
    return label_matrix(rows, task)


def _name(task: Task, label: str) -> str:
    if label in task.labels:
        return task.labels[label].name
    above = parent(label) if len(label) > CATEGORY else None
    known = task.labels.get(above or "") or task.labels.get(label[:CATEGORY])
    return f"{known.name}, {label}" if known else label
