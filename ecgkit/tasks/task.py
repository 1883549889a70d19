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
challenge                      for a task of the PhysioNet/CinC Challenges: the inputs of its score
table                          instead of codes: a CSV file with the labels; see `ecgkit.tasks.table`

`ecgkit.tasks.loading` reads the files, `ecgkit.tasks.data` is a task on a store.
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

    @property
    def folds(self) -> dict[str, tuple[int, ...]]:
        """Folds by part."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def members(self, folds: NDArray[np.int64], taken: NDArray[np.bool_]) -> dict[str, NDArray[np.int64]]:
        """Return by part the records that are taken.

        Args:
            folds: ``[R]``, each record's.
            taken: ``[R]``, which records may take part.
        """
        return {part: np.flatnonzero(taken & np.isin(folds, of)) for part, of in self.folds.items()}


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
    def names(self) -> tuple[str, ...]:
        """Its classes, or the targets of a regression."""
        return tuple(self.regression.targets if self.regression else self.labels)

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
