"""Evaluation tasks: which records, which labels, which split. Each task is a small YAML file in this folder.

title, code_system, split      name of the task, code system of its labels, split of the records
labels                         label -> name in words, and the codes any of which makes it positive. `also`: its codes
                               if the dataset is published in another system too. `shipped`: see `label_set`.
                               `local`: its codes mean something else in other datasets
label_set                      exact: by code; shipped: as a published label table has it, including its mistakes
unlabelled                     drop: leave out records with none of the labels; keep: take them as negatives
icd10                          instead of labels: ICD-10 codes with their ancestors, as they occur in the data. A
                               scenario says whose codes, which records, and how frequent a label must be
regression                     instead of labels: numbers to predict; see `ecgkit.tasks.regression`
entities                       instead of labels: what an extraction found in the reports; see `EntityLabels`
challenge                      for a task of the PhysioNet/CinC Challenges: the inputs of its score
table                          instead of codes: a CSV file with the labels; see `ecgkit.tasks.table`

`ecgkit.tasks.loading` reads the files; `ecgkit.tasks.data` applies a task to a store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.tasks.folds import TEST_FOLD, TRAIN_FOLDS, VAL_FOLD
from ecgkit.tasks.icd_benchmark import Scenario
from ecgkit.tasks.regression import Regression
from ecgkit.tasks.table import Table


@dataclass(frozen=True)
class Label:
    """One class of a task.

    Args:
        name: Name in words.
        codes: Codes of the dataset, any of which makes a record positive.
        also: Codes of the same dataset in the other systems in which it is published, by system.
        shipped: Further codes that a published label table counts by mistake.
        local: Whether the codes mean something else in other datasets.
    """

    name: str
    codes: tuple[str, ...] = ()
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    shipped: tuple[str, ...] = ()
    local: bool = False


@dataclass(frozen=True)
class FoldSplit:
    """Folds of a store's record table by part. All records of a patient are in one fold."""

    train: tuple[int, ...] = TRAIN_FOLDS
    val: tuple[int, ...] = (VAL_FOLD,)
    test: tuple[int, ...] = (TEST_FOLD,)

    @property
    def folds(self) -> dict[str, tuple[int, ...]]:
        """Folds by part."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def members(self, folds: NDArray[np.int64], taken: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
        """Return the selected records by part.

        Args:
            folds: ``[R]``, fold of each record.
            taken: bool ``[R]``, which records may take part.
        """
        return {part: np.flatnonzero(taken & np.isin(folds, of)) for part, of in self.folds.items()}


@dataclass(frozen=True)
class Icd10:
    """Labels from lists of ICD-10 codes.

    Args:
        scenario: Name of a scenario of the public benchmark; see `ecgkit.tasks.icd_benchmark`.
        tree: Whether to add block and chapter of the circulatory diseases, and leave out all other diseases.
        count_on: Rows in which a label must be frequent enough: ``all`` rows of the table, as in the public code, or
            the training rows (``train``).
        published: Number of labels in a publication. If ours differs, results say so.
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
class EntityLabels:
    """Labels from the entities of the reports; see `ecgkit.tasks.entity_targets`.

    Args:
        name: Name of the extraction; empty for the only one of the store.
        min_count: Smallest number of training records in which an entity must be positive.
        uncertain: How an entity counts if the report is unsure of it: ``negative``, ``positive``, or ``drop`` to leave
            out the records whose report is unsure of any class.
        only: Entities to keep; by default all.
    """

    name: str = ""
    min_count: int = 10
    uncertain: Literal["negative", "positive", "drop"] = "negative"
    only: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise ValueError(f"min_count {self.min_count} must be at least 1")


@dataclass(frozen=True)
class Challenge:
    """The scoring of a PhysioNet/CinC Challenge.

    Args:
        normal: Label that stands for "nothing is wrong".
        beta: Beta of F-beta and G-beta; None if the Challenge reports neither.
        undefined: Score if the labels earn no more than `normal` for every record.
    """

    normal: str
    beta: float | None = None
    undefined: float = 0.0


@dataclass(frozen=True)
class Task:
    """A multi-label classification task, or a regression.

    Args:
        title: Title in words.
        code_system: Code system of the labels: ``scp``, ``snomed``, ...
        labels: Classes by short label, in order; with `icd10`, the names of labels that may occur.
        split: Folds of each part. An ICD-10 scenario has its own folds.
        unlabelled: What to do with a record that has none of the labels: ``drop`` or ``keep``.
        label_set: Labels by code (``exact``), or as a published table ``shipped`` them.
        source: Reference that defines labels and split.
        icd10: Settings of labels from ICD-10 codes, if the task has them.
        entities: Settings of labels from the reports' entities, if the task has them.
        challenge: Scoring of the PhysioNet/CinC Challenge, if the task belongs to one.
        table: Table of the labels, if they are not in the store.
        regression: Numbers to predict, instead of labels.
    """

    title: str
    code_system: str = ""
    labels: dict[str, Label] = field(default_factory=dict)
    split: FoldSplit = FoldSplit()
    unlabelled: Literal["drop", "keep"] = "drop"
    label_set: Literal["exact", "shipped"] = "exact"
    source: str = ""
    icd10: Icd10 | None = None
    entities: EntityLabels | None = None
    challenge: Challenge | None = None
    table: Table | None = None
    regression: Regression | None = None

    def __post_init__(self) -> None:
        if self.challenge and self.challenge.normal not in self.labels:
            raise ValueError(f"challenge.normal {self.challenge.normal!r} must be one of the labels")
        if self.regression:
            if self.labels or self.icd10 or self.entities or self.challenge or self.table or self.code_system:
                others = "code_system, labels, icd10, entities, challenge and table"
                raise ValueError(f"regression must stand without {others}")
            return
        if self.entities:
            if self.icd10 or self.challenge or self.table or self.code_system:
                raise ValueError("entities must stand without code_system, icd10, challenge and table")
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
    def names(self) -> tuple[str, ...]:
        """The classes of the task, or the targets of a regression."""
        return tuple(self.regression.targets if self.regression else self.labels)

    @property
    def has_shipped(self) -> bool:
        """Whether a published label table of the task differs from its codes."""
        return any(label.shipped for label in self.labels.values())

    @property
    def systems(self) -> tuple[str, ...]:
        """Code systems in which the task's own dataset is published, its own first."""
        return tuple(dict.fromkeys([self.code_system, *(s for label in self.labels.values() for s in label.also)]))

    def codes(self, system: str = "") -> dict[str, tuple[str, ...]]:
        """Return the codes that make each label positive, by label.

        Args:
            system: One of `systems`; empty for the task's own system.
        """
        own = system in ("", self.code_system)
        extra = self.label_set == "shipped"
        return {
            name: (*(label.codes if own else label.also.get(system, ())), *(label.shipped if extra else ()))
            for name, label in self.labels.items()
        }
