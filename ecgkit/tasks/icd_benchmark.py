"""Scenarios of the public ICD-10 benchmark on MIMIC-IV-ECG-Ext-ICD, by their names.

Strodthoff et al., arXiv 2312.11050; code github.com/AI4HealthUOL/ECG-MIMIC. A name is
``mimic_{train subset}_{train labels}_{test subset}_{test labels}_{min count}[_{digits}][A]``: which records are trained
on and tested on (``all``, ``ed``, ``hosp``; ``first`` for the first ECG of a stay), whose labels are taken, how
frequent a label must be, how many characters of a code count, and whether ancestors are added.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import TaskError
from ecgkit.tasks.icd10 import chapter_ix, clean_codes, starting_with, with_ancestors

COLUMNS = {"all": "all_diag_all", "hosp": "all_diag_hosp", "ed": "ed_diag_ed"}
FLAGS = {"all": "ecg_taken_in_ed_or_hosp", "hosp": "ecg_taken_in_hosp", "ed": "ecg_taken_in_ed"}
_NAME = re.compile(
    r"mimic_(all|ed|hosp)(first)?_(all|ed|hosp)([A-Z]*|af)_(all|ed|hosp)(first)?_(all|ed|hosp)_(\d+)(?:_(\d+))?(A)?"
)


@dataclass(frozen=True)
class Scenario:
    """A scenario; see the module.

    Args:
        train: Subset that is trained on, and whether only the first ECG of a stay.
        test: Subset that is validated and tested on, likewise.
        train_labels: Whose labels are trained on.
        test_labels: Whose labels are tested on.
        starts: What a code must start with in the training labels; empty for all.
        min_count: How many rows of the whole table a label must have in the training labels.
        digits: Characters of a code that count; None for all.
        all_ancestors: Whether every ancestor is added, or only those that occur as codes.
    """

    train: tuple[str, bool]
    test: tuple[str, bool]
    train_labels: str
    test_labels: str
    starts: tuple[str, ...]
    min_count: int
    digits: int | None
    all_ancestors: bool

    @classmethod
    def parse(cls, name: str) -> "Scenario":
        """Read a scenario's name.

        Raises:
            TaskError: It is none.
        """
        parts = _NAME.fullmatch(name)
        if not parts:
            raise TaskError(f"scenario {name!r}", "a name such as mimic_all_all_allfirst_all_2000_5A")
        train, train_first, labels, starts, test, test_first, test_labels, count, digits, ancestors = parts.groups()
        kept = ("I48",) if starts == "af" else tuple(starts)
        return cls(
            (train, bool(train_first)),
            (test, bool(test_first)),
            labels,
            test_labels,
            kept,
            int(count),
            int(digits) if digits else None,
            bool(ancestors),
        )


@dataclass(frozen=True)
class ScenarioLabels:
    """A scenario on a table of R rows.

    Args:
        train: Labels of each row as trained on, of any frequency.
        test: Labels of each row as tested on, of any frequency, and any letter.
        counts: How many rows each label has in `train`.
        vocabulary: The labels that are frequent enough, most frequent first, then by code.
        parts: ``train``, ``val`` and ``test`` as row indices.
    """

    train: list[set[str]]
    test: list[set[str]]
    counts: dict[str, int]
    vocabulary: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]


def scenario_labels(
    scenario: Scenario, table: pd.DataFrame, *, tree: bool = False, count_on: str = "all"
) -> ScenarioLabels:
    """Return the labels and parts of a scenario.

    Args:
        scenario: The scenario.
        tree: Labels are those of the tree of chapter IX, whatever the scenario says of ancestors.
        count_on: Count labels in ``all`` rows, as the public code does, or in those that are trained on (``train``).
        table: With lists of codes in the columns of `COLUMNS`, the flags of `FLAGS`, ``ecg_no_within_stay``, and
            ``icd_fold`` from 0: the last is tested on, the one before validates.
    """
    train = [
        starting_with(clean_codes(c, scenario.digits), scenario.starts) for c in _cells(table, scenario.train_labels)
    ]
    test = [clean_codes(c, scenario.digits) for c in _cells(table, scenario.test_labels)]
    known = None if scenario.all_ancestors else {code for codes in train for code in codes}
    expand = chapter_ix if tree else lambda codes: with_ancestors(codes, known)
    train_labels, test_labels = ([expand(codes) for codes in column] for column in (train, test))
    parts = _parts(scenario, table)
    counted = train_labels if count_on == "all" else [train_labels[row] for row in parts["train"]]
    counts = Counter(label for labels in counted for label in labels)
    frequent = sorted((-n, label) for label, n in counts.items() if n >= scenario.min_count)
    return ScenarioLabels(train_labels, test_labels, dict(counts), tuple(label for _, label in frequent), parts)


def _cells(table: pd.DataFrame, labels: str) -> Sequence[Sequence[str]]:
    return list(table[COLUMNS[labels]])


def _parts(scenario: Scenario, table: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    fold = table["icd_fold"].to_numpy()
    last = np.nanmax(fold)  # a record that the table does not list has no fold and takes no part
    first = table["ecg_no_within_stay"].to_numpy() == 0
    parts = {}
    for part, chosen, (subset, only_first), labels in (
        ("train", fold < last - 1, scenario.train, scenario.train_labels),
        ("val", fold == last - 1, scenario.test, scenario.test_labels),
        ("test", fold == last, scenario.test, scenario.test_labels),
    ):
        stated = np.array([len(cell) > 0 for cell in _cells(table, labels)])
        taken = (table[FLAGS[subset]] == True).to_numpy(bool)  # noqa: E712 (None is not taken)
        parts[part] = np.flatnonzero(chosen & stated & taken & (first | (not only_first)))
    return parts
