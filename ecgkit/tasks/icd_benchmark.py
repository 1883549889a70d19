"""The scenarios of the public ICD-10 benchmark on MIMIC-IV-ECG-Ext-ICD, given by their names.

Strodthoff et al., arXiv 2312.11050; code github.com/AI4HealthUOL/ECG-MIMIC. A name has the form
``mimic_{train subset}_{train labels}_{test subset}_{test labels}_{min count}[_{digits}][A]``. Subsets are ``all``,
``ed`` and ``hosp``, with ``first`` for the first ECG of a stay. Labels are those of the emergency department, the
hospital or all. ``min count`` is how frequent a label must be, ``digits`` how many characters of a code count, and
``A`` adds all ancestors.
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
    """A scenario; the module's docstring explains its name.

    Args:
        train: Training subset, and whether it holds only the first ECG of a stay.
        test: Validation and test subset, and whether it holds only the first ECG of a stay.
        train_labels: Source of the training labels.
        test_labels: Source of the test labels.
        starts: Prefixes of the codes to use in the training labels; empty for all codes.
        min_count: Number of rows of the whole table that a label must have in the training labels.
        digits: Number of characters of a code that count; None for all.
        all_ancestors: Whether to add every ancestor, or only those that occur as codes.
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
        """Parse the name of a scenario.

        Raises:
            TaskError: The name is not that of a scenario.
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
    """A scenario applied to a table of R rows.

    Args:
        train: Training labels of each row, whatever their frequency.
        test: Test labels of each row, whatever their frequency and first letter.
        counts: Number of rows of each label in `train`.
        vocabulary: Labels that are frequent enough: the most frequent first, then by code.
        parts: Row indices of ``train``, ``val`` and ``test``.
    """

    train: list[set[str]]
    test: list[set[str]]
    counts: dict[str, int]
    vocabulary: tuple[str, ...]
    parts: dict[str, NDArray[np.int64]]


def scenario_labels(
    scenario: Scenario, table: pd.DataFrame, *, tree: bool = False, count_on: str = "all"
) -> ScenarioLabels:
    """Return the labels and the split of a scenario.

    Args:
        scenario: The scenario.
        tree: Whether labels are those of the tree of chapter IX, whatever the scenario says about ancestors.
        count_on: Rows in which labels are counted: ``all``, as in the public code, or the training rows (``train``).
        table: Table with lists of codes in the columns of `COLUMNS`, the flags of `FLAGS`, ``ecg_no_within_stay``, and
            ``icd_fold`` from 0: the last fold is the test set, the second last the validation set.
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
    last = np.nanmax(fold)  # records that the table does not list have no fold and take no part
    first = table["ecg_no_within_stay"].to_numpy() == 0
    parts = {}
    for part, chosen, (subset, only_first), labels in (
        ("train", fold < last - 1, scenario.train, scenario.train_labels),
        ("val", fold == last - 1, scenario.test, scenario.test_labels),
        ("test", fold == last, scenario.test, scenario.test_labels),
    ):
        stated = np.array([len(cell) > 0 for cell in _cells(table, labels)])
        taken = (table[FLAGS[subset]] == True).to_numpy(bool)  # noqa: E712 (None counts as False)
        parts[part] = np.flatnonzero(chosen & stated & taken & (first | (not only_first)))
    return parts
