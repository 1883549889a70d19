"""What an evaluation task is: which records, which labels, which split. Each is a small YAML file in this folder.

title, code_system, split      what the task is, whose codes it reads, how records are split
labels                         label -> name in words, and the codes any of which makes it positive
unlabelled                     drop: leave out records with none of the labels; keep: take them as negatives
icd10                          instead of codes by label: labels that the data says, ICD-10 codes with their ancestors;
                               a scenario says whose codes, which records, and how frequent a label must be
regression                     instead of labels: numbers that are predicted; see `ecgkit.tasks.regression`
challenge                      for a task of the PhysioNet/CinC Challenges: what `ecgkit.evaluation.challenge` needs
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from ecgkit.config import build, override
from ecgkit.entries import TaskEntry
from ecgkit.errors import TaskError
from ecgkit.store.reader import Store
from ecgkit.tasks.folds import TEST_FOLD, TRAIN_FOLDS, VAL_FOLD
from ecgkit.tasks.icd10 import CATEGORY, parent, tree_order
from ecgkit.tasks.icd_benchmark import COLUMNS, FLAGS, Scenario, ScenarioLabels, scenario_labels
from ecgkit.tasks.regression import Regression, target_values


@dataclass(frozen=True)
class Label:
    """One class of a task.

    Args:
        name: In words.
        codes: The dataset's codes, any of which makes a record positive.
    """

    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoldSplit:
    """Which folds of a store's record table are which part; folds go by patient."""

    train: tuple[int, ...] = TRAIN_FOLDS
    val: tuple[int, ...] = (VAL_FOLD,)
    test: tuple[int, ...] = (TEST_FOLD,)


@dataclass(frozen=True)
class Icd10:
    """Labels from lists of ICD-10 codes.

    Args:
        scenario: A name of the public benchmark; see `ecgkit.tasks.icd_benchmark`.
        tree: Add block and chapter of the circulatory diseases, and take no other disease.
        count_on: Where a label must be frequent enough: in ``all`` rows of the table, as the public code counts, or in
            those that are trained ``train``.
        published: How many labels a publication has; the result tells where ours are another number.
    """

    scenario: str
    tree: bool = False
    count_on: Literal["all", "train"] = "all"
    published: int | None = None

    def __post_init__(self) -> None:
        try:
            Scenario.parse(self.scenario)
        except TaskError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True)
class Challenge:
    """How a PhysioNet/CinC Challenge scores a task.

    Args:
        normal: The label that stands for "nothing is wrong".
        beta: Of F-beta and G-beta; None where the Challenge reports none.
        undefined: Its score where the labels earn no more than `normal` for every record.
    """

    normal: str
    beta: float | None = None
    undefined: float = 0.0


@dataclass(frozen=True)
class Task:
    """A multi-label classification task, or a regression.

    Args:
        title: In words.
        code_system: The codes that it reads: ``scp``, ``snomed``, ...
        labels: Its classes by short label, in order; with `icd10`, the names of labels that may occur.
        split: Which folds are which part; an ICD-10 scenario has folds of its own.
        unlabelled: What becomes of a record with none of the labels.
        source: Where labels and split are defined.
        icd10: How labels come from ICD-10 codes, if they do.
        challenge: How a Challenge scores it, if it is a Challenge's.
        regression: Which numbers are predicted, instead of labels.
    """

    title: str
    code_system: str = ""
    labels: dict[str, Label] = field(default_factory=dict)
    split: FoldSplit = FoldSplit()
    unlabelled: Literal["drop", "keep"] = "drop"
    source: str = ""
    icd10: Icd10 | None = None
    challenge: Challenge | None = None
    regression: Regression | None = None

    def __post_init__(self) -> None:
        if self.challenge and self.challenge.normal not in self.labels:
            raise ValueError(f"challenge.normal {self.challenge.normal!r} must be one of the labels")
        if self.regression and (self.labels or self.icd10 or self.challenge or self.code_system):
            raise ValueError("regression must stand without code_system, labels, icd10 and challenge")
        if not self.regression and not self.code_system:
            raise ValueError("code_system must say what the labels are written in")
        if not self.labels and not self.icd10 and not self.regression:
            raise ValueError("labels must hold at least one label")


@dataclass(frozen=True)
class TaskData:
    """A task on a store.

    Args:
        rows: The store's rows that take part.
        targets: ``[len(rows), C]`` int8 of 0 and 1; of a regression float64, each column in its unit.
        labels: The C short labels, or names of targets.
        parts: ``train``, ``val`` and ``test`` as indices into `rows`.
        unusable: How many labelled records were left out because the model cannot read them.
        task: The task, with just these labels.
        notes: What a reader of a result should know of the labels.
        left_out: Of a regression, how many records of its folds have no value, by why.
    """

    rows: NDArray[np.int64]
    targets: NDArray[Any]
    labels: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]
    unusable: int
    task: Task
    notes: tuple[str, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)


def load_task(entry: TaskEntry, settings: Sequence[str] = ()) -> Task:
    """Read a task's data file.

    Args:
        entry: The task.
        settings: Changes, such as ``icd10.count_on=train``.

    Raises:
        ConfigError: A setting does not fit.
    """
    package, _, file = entry.target.partition(":")
    values = yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    return override(build(Task, values, source=entry.target), settings)


def task_data(
    task: Task, name: str, store: Store, usable: NDArray[np.bool_] | None = None, *, numbers: bool = False
) -> TaskData:
    """Return a task's records, targets and split on a store.

    Args:
        task: The task.
        name: Its name, for messages.
        store: The store.
        usable: ``[R]``, which records the model can read; None means all.
        numbers: Whether the caller knows what to do with a regression.

    Raises:
        TaskError: It is a regression where classes are needed, the store's labels are of another system, none of the
            task's labels occurs, or a part is empty.
    """
    if task.regression is not None:
        if not numbers:
            raise TaskError(f"{name} is a regression task", "a task with classes", "Choose one: ecgkit plugins list")
        return _regression_data(task, task.regression, name, store, usable)
    codes = store.table["labels"]
    if store.code_system != task.code_system or not codes.map(len).any():
        has = f"labels of system {store.code_system!r}" if codes.map(len).any() else "no labels"
        raise TaskError(
            f"{store.path} ({store.attributes['dataset']}) has {has}",
            f"{task.code_system!r} labels for task {name}",
            "Choose a task that fits the store; 'ecgkit inspect STORE' shows its labels.",
        )
    if task.icd10 is not None:
        return _icd_data(task, task.icd10, name, store, usable)
    targets = label_matrix(list(codes), task)
    labelled = targets.any(1) if task.unlabelled == "drop" else np.ones(len(targets), bool)
    folds = store.table["fold"].to_numpy()
    split = {"train": task.split.train, "val": task.split.val, "test": task.split.test}
    members = {part: np.flatnonzero(labelled & np.isin(folds, of)) for part, of in split.items()}
    return _assemble(task, name, store, targets, members, usable)


def _assemble(
    task: Task,
    name: str,
    store: Store,
    targets: NDArray[Any],
    members: dict[str, NDArray[np.int64]],
    usable: NDArray[np.bool_] | None,
    notes: tuple[str, ...] = (),
) -> TaskData:
    """Reduce the parts to usable records and put them one after the other in the order of the store.

    Args:
        task: With the labels of `targets`.
        name: Of the task.
        store: The store.
        targets: ``[R, C]`` over all rows of the store.
        members: Rows of the store by part, each in one part at most.
        usable: Bool ``[R]``; None means all.
        notes: For the result.
    """
    readable = np.ones(len(targets), bool) if usable is None else usable
    wanted = np.sort(np.concatenate(list(members.values())))
    rows = wanted[readable[wanted]]
    parts = {part: np.flatnonzero(np.isin(rows, of)) for part, of in members.items()}
    empty = [part for part, of in parts.items() if not len(of)]
    if empty:
        where = f" (folds {getattr(task.split, empty[0])})" if task.icd10 is None else ""
        raise TaskError(
            f"{store.path} has no record for the {empty[0]} part of {name}{where}", "labelled records in every part"
        )
    return TaskData(rows, targets[rows], tuple(task.labels), parts, len(wanted) - len(rows), task, notes)


def _regression_data(
    task: Task, regression: Regression, name: str, store: Store, usable: NDArray[np.bool_] | None
) -> TaskData:
    """Return a task of numbers; a record takes part that has every target."""
    folds = store.table["fold"].to_numpy()
    split = {"train": task.split.train, "val": task.split.val, "test": task.split.test}
    asked = np.isin(folds, [fold for of in split.values() for fold in of])
    found = target_values(regression, name, store, asked)
    members = {part: np.flatnonzero(found.complete & np.isin(folds, of)) for part, of in split.items()}
    data = _assemble(task, name, store, found.values, members, usable)
    return replace(data, labels=tuple(regression.targets), left_out=found.left_out)


def _icd_data(task: Task, icd: Icd10, name: str, store: Store, usable: NDArray[np.bool_] | None) -> TaskData:
    """Return a task whose labels the data says."""
    scenario = Scenario.parse(icd.scenario)
    needed = {*COLUMNS.values(), *FLAGS.values(), "ecg_no_within_stay", "icd_fold"}
    missing = sorted(needed - set(store.table))
    if missing:
        raise TaskError(
            f"{store.path} has no columns {', '.join(missing)}", "the table of MIMIC-IV-ECG-Ext-ICD",
            "Ingest MIMIC-IV-ECG with records_w_diag_icd10.csv in its folder.",
        )  # fmt: skip
    found = scenario_labels(scenario, store.table, tree=icd.tree, count_on=icd.count_on)
    if not found.vocabulary:
        raise TaskError(
            f"no label of {name} has {scenario.min_count} rows in {store.path}", "a larger store",
            f"Or ask for fewer, with --task-set icd10.scenario={icd.scenario.replace(f'_{scenario.min_count}', '_5')}",
        )  # fmt: skip
    order = tree_order(found.vocabulary) if icd.tree else list(found.vocabulary)
    labels = {label: Label(_icd_name(task, label), (label,)) for label in order}
    concrete = replace(task, labels=labels)
    notes = [f"{len(order)} labels with at least {scenario.min_count} rows"]
    if icd.published and len(order) != icd.published:
        notes = [f"{notes[0]}; the publication has {icd.published}, from a threshold that it does not state"]
    return _assemble(concrete, name, store, _icd_targets(found, concrete), found.parts, usable, tuple(notes))


def _icd_targets(found: ScenarioLabels, task: Task) -> NDArray[np.int8]:
    """Return ``[R, C]``: training rows by the training labels, all others by the test labels."""
    rows = list(found.test)
    for row in found.parts["train"]:
        rows[row] = found.train[row]
    return label_matrix(rows, task)


def _icd_name(task: Task, label: str) -> str:
    if label in task.labels:
        return task.labels[label].name
    above = parent(label) if len(label) > CATEGORY else None
    known = task.labels.get(above or "") or task.labels.get(label[:CATEGORY])
    return f"{known.name}, {label}" if known else label


def label_matrix(codes: Collection[Collection[str]], task: Task) -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 where a record has any of a label's codes, whatever its likelihood."""
    columns: dict[str, list[int]] = {}
    for c, label in enumerate(task.labels.values()):
        for code in label.codes:
            columns.setdefault(code, []).append(c)
    out = np.zeros((len(codes), len(task.labels)), np.int8)
    for row, record in enumerate(codes):
        for code in record:
            out[row, columns.get(code, ())] = 1
    return out
