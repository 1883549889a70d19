"""What an evaluation task is: which records, which labels, which split. Each is a small YAML file in this folder.

title, code_system, split      what the task is, whose codes it reads, how records are split
labels                         label -> name in words, and the codes any of which makes it positive; `also`: its codes
                               where the dataset is published in another system; `shipped`: see `label_set`; `local`:
                               its codes mean something else in other datasets
label_set                      exact: by code; shipped: as a published label table has it, mistakes included
unlabelled                     drop: leave out records with none of the labels; keep: take them as negatives
icd10                          instead of codes by label: labels that the data says, ICD-10 codes with their ancestors;
                               a scenario says whose codes, which records, and how frequent a label must be
regression                     instead of labels: numbers that are predicted; see `ecgkit.tasks.regression`
challenge                      for a task of the PhysioNet/CinC Challenges: what `ecgkit.evaluation.challenge` needs
table                          instead of codes: a CSV file with the labels; see `ecgkit.tasks.table`
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from ecgkit.config import build, override, read_yaml
from ecgkit.datasets.paths import check_inside
from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError, TaskError
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.folds import TEST_FOLD, TRAIN_FOLDS, VAL_FOLD
from ecgkit.tasks.icd10 import CATEGORY, parent, tree_order
from ecgkit.tasks.icd_benchmark import COLUMNS, FLAGS, Scenario, ScenarioLabels, scenario_labels
from ecgkit.tasks.regression import Regression, target_values
from ecgkit.tasks.table import Table, read_labels


@dataclass(frozen=True)
class Label:
    """One class of a task.

    Args:
        name: In words.
        codes: The dataset's codes, any of which makes a record positive.
        also: The same dataset's codes in other systems in which it is published, by system.
        shipped: Codes that a published label table counts besides, by mistake.
        local: Whether the codes mean something else in other datasets.
    """

    name: str
    codes: tuple[str, ...] = ()
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shipped: tuple[str, ...] = ()
    local: bool = False


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
        label_set: Whether labels are those of the codes, or as a published table ``shipped`` them.
        source: Where labels and split are defined.
        icd10: How labels come from ICD-10 codes, if they do.
        challenge: How a Challenge scores it, if it is a Challenge's.
        table: Where labels are, if not in the store.
        regression: Which numbers are predicted, instead of labels.
    """

    title: str
    code_system: str = ""
    labels: dict[str, Label] = field(default_factory=dict)
    split: FoldSplit = FoldSplit()
    unlabelled: Literal["drop", "keep"] = "drop"
    label_set: Literal["exact", "shipped"] = "exact"
    source: str = ""
    icd10: Icd10 | None = None
    challenge: Challenge | None = None
    table: Table | None = None
    regression: Regression | None = None

    def __post_init__(self) -> None:
        if self.challenge and self.challenge.normal not in self.labels:
            raise ValueError(f"challenge.normal {self.challenge.normal!r} must be one of the labels")
        if self.regression:
            if self.labels or self.icd10 or self.challenge or self.table or self.code_system:
                raise ValueError("regression must stand without code_system, labels, icd10, challenge and table")
            return
        if not self.labels and not self.icd10 and not self.table:
            raise ValueError("labels must hold at least one label")
        if not self.code_system and not self.table:
            raise ValueError("code_system must say whose codes the labels have")
        bare = [name for name, codes in self.codes().items() if not codes and not (self.icd10 or self.table)]
        bare += [
            f"{name} in {system}" for system in self.systems[1:] for name, of in self.codes(system).items() if not of
        ]
        if bare:
            raise ValueError(f"labels must all have codes, and {', '.join(bare)} has none")
        if self.label_set == "shipped" and not self.has_shipped:
            raise ValueError("label_set must be exact, for no published table of this task differs from its codes")

    @property
    def has_shipped(self) -> bool:
        """Whether a published label table of the task differs from its codes."""
        return any(label.shipped for label in self.labels.values())

    @property
    def systems(self) -> tuple[str, ...]:
        """The code systems in which the task's own dataset is published, its own first."""
        return tuple(dict.fromkeys([self.code_system, *(s for label in self.labels.values() for s in label.also)]))

    def codes(self, system: str = "") -> dict[str, tuple[str, ...]]:
        """Return the codes that make each label positive, by label.

        Args:
            system: One of `systems`; empty for the task's own.
        """
        own = system in ("", self.code_system)
        extra = self.label_set == "shipped"
        return {
            name: (*(label.codes if own else label.also.get(system, ())), *(label.shipped if extra else ()))
            for name, label in self.labels.items()
        }


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
        told: What was done, in words, by heading, where it is not what the task alone says.
        left_out: Of a regression, how many records of its folds have no value, by why.
    """

    rows: NDArray[np.int64]
    targets: NDArray[Any]
    labels: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]
    unusable: int
    task: Task
    notes: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TaskFile(TaskEntry):
    """A task in a file of the user's; `target` is its path."""

    @classmethod
    def at(cls, path: Path) -> "TaskFile":
        """Return the task of a YAML file, named by it."""
        return cls(name=path.stem, summary=f"the task of {path}", target=str(path))


def find_task(name: str) -> TaskEntry:
    """Return a registered task by name, or that of a path ending in ``.yaml`` or ``.yml``.

    Raises:
        PluginError: There is no such task.
    """
    return TaskFile.at(Path(name)) if name.endswith((".yaml", ".yml")) else host().get(TaskEntry, name)


def load_task(entry: TaskEntry, settings: Sequence[str] = ()) -> Task:
    """Read a task's data file.

    Args:
        entry: The task.
        settings: Changes, such as ``icd10.count_on=train``.

    Raises:
        ConfigError: The file cannot be read, or a setting does not fit.
        RecordError: A user's task names a table outside of its folder.
    """
    own = isinstance(entry, TaskFile)
    package, _, file = entry.target.partition(":")
    values = (
        read_yaml(Path(entry.target))
        if own
        else yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    )
    if isinstance(values.get("labels"), dict):
        for name, label in values["labels"].items():
            build(Label, label, source=f"{entry.target}: labels: {name}")
    task = override(build(Task, values, source=entry.target), settings)
    if task.table is None:
        return task
    if not own:
        raise ConfigError(f"{entry.target} has a table", "a task of codes, for only a file of one's own has a table")
    folder = Path(entry.target).resolve().parent
    check_inside(folder, task.table.path)
    return replace(task, table=replace(task.table, path=str(folder / task.table.path)))


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
    if task.table is not None:
        return _table_data(task, task.table, name, store, usable)
    if task.regression is not None:
        if not numbers:
            raise TaskError(f"{name} is a regression task", "a task with classes", "Choose one: ecgkit plugins list")
        return _regression_data(task, task.regression, name, store, usable)
    codes = store.table["labels"]
    if store.code_system not in task.systems or not codes.map(len).any():
        has = f"labels of system {store.code_system!r}" if codes.map(len).any() else "no labels"
        raise TaskError(
            f"{store.path} ({store.attributes['dataset']}) has {has}",
            f"{' or '.join(map(repr, task.systems))} labels for task {name}",
            "Choose a task that fits the store; 'ecgkit inspect STORE' shows its labels.",
        )
    if task.icd10 is not None:
        return _icd_data(task, task.icd10, name, store, usable)
    targets = label_matrix(list(codes), task, store.code_system)
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
    told: Mapping[str, str] = MappingProxyType({}),
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
        told: For the result, by heading.
    """
    readable = np.ones(len(targets), bool) if usable is None else usable
    wanted = np.sort(np.concatenate(list(members.values())))
    rows = wanted[readable[wanted]]
    parts = {part: np.flatnonzero(np.isin(rows, of)) for part, of in members.items()}
    empty = [part for part, of in parts.items() if not len(of)]
    if empty:
        where = f" (folds {getattr(task.split, empty[0])})" if not (task.icd10 or task.table) else ""
        raise TaskError(
            f"{store.path} has no record for the {empty[0]} part of {name}{where}", "labelled records in every part"
        )
    return TaskData(rows, targets[rows], tuple(task.labels), parts, len(wanted) - len(rows), task, notes, told)


def _table_data(task: Task, table: Table, name: str, store: Store, usable: NDArray[np.bool_] | None) -> TaskData:
    """Return a task whose labels are in a table."""
    folds = {"train": task.split.train, "val": task.split.val, "test": task.split.test}
    found = read_labels(table, tuple(task.labels), store.table, folds)
    labels = {label: task.labels.get(label, Label(label)) for label in found.labels}
    concrete = replace(task, labels=labels)
    return _assemble(concrete, name, store, found.targets, found.members, usable, found.notes, found.told)


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


def label_matrix(codes: Collection[Collection[str]], task: Task, system: str = "") -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 where a record has any of a label's codes, whatever its likelihood.

    Args:
        codes: Of the R records.
        task: With its C labels.
        system: What the codes are written in; empty for the task's own system.
    """
    return code_matrix(codes, task.codes(system))


def code_matrix(codes: Collection[Collection[str]], labels: Mapping[str, Sequence[str]]) -> NDArray[np.int8]:
    """Return ``[R, C]``: 1 where any of a record's codes is one of a label's.

    Args:
        codes: Of the R records.
        labels: The codes of each of the C labels.
    """
    columns: dict[str, list[int]] = {}
    for c, own in enumerate(labels.values()):
        for code in own:
            columns.setdefault(code, []).append(c)
    out = np.zeros((len(codes), len(labels)), np.int8)
    for row, record in enumerate(codes):
        for code in record:
            out[row, columns.get(code, ())] = 1
    return out
