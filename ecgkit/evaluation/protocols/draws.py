"""Draws a subset of the training records, given as a share or a count, by one of three rules.

``stratified`` (our rule): patients are put into one order, and a draw takes patients from its beginning, so that a
smaller draw is part of a larger one. The order comes from iterative stratification (Sechidis et al., On the
Stratification of Multi-Label Data, ECML PKDD 2011) into halves; the first half is split again, and so on. The order
begins with a few patients that together have every label, so that no class loses all its positives unless the draw is
smaller than that.

``train-test-split``: scikit-learn's function, without strata. ``sample``: a plain random sample of ``int(N r)``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from ecgkit.errors import TaskError
from ecgkit.tasks.data import TaskData

Rule = Literal["stratified", "train-test-split", "sample"]
Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
LEAF = 8  # patients; smaller groups are too small to balance labels


@dataclass(frozen=True)
class Amount:
    """How much of the training set is used: a share, or a number of records.

    Args:
        percent: Share in per cent.
        count: Number of records, instead of a share.
    """

    percent: float = 100.0
    count: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.percent <= 100:
            raise TaskError(f"a fraction of {self.percent:g} %", "more than 0 and 100 at most")
        if self.count is not None and self.count < 1:
            raise TaskError(f"label count {self.count}", "1 or more")

    @property
    def all(self) -> bool:
        """Whether the whole training set is used."""
        return self.count is None and self.percent == 100

    @property
    def name(self) -> str:
        """Name for folders, such as ``fraction-1`` or ``labels-50``."""
        return f"fraction-{self.percent:g}" if self.count is None else f"labels-{self.count}"

    def records(self, R: int) -> int:
        """Return the number of records to use of R records; at least 1."""
        return max(1, round(R * self.percent / 100)) if self.count is None else self.count


def plain_draw(rule: Rule, R: int, amount: Amount, seed: int) -> Indices:
    """Choose among R records regardless of their labels, by ``train-test-split`` or ``sample``.

    Returns:
        Ascending indices into the R records.
    """
    n = min(R, max(1, int(R * amount.percent / 100)) if amount.count is None else amount.count)
    if n == R:
        return np.arange(R)
    if rule == "sample":
        return np.sort(np.random.RandomState(seed).permutation(R)[:n])
    return np.sort(train_test_split(np.arange(R), train_size=n, random_state=seed)[0])


def nested_subset(targets: NDArray[np.integer], patients: Sequence[str], count: int, seed: int) -> Indices:
    """Choose whole patients with at most `count` records, but at least one patient.

    The choice for a larger count contains that for a smaller one.

    Args:
        targets: Labels ``[R, C]``, 0 and 1.
        patients: The patient id of each of the R records.
        count: Largest number of records.
        seed: Seed of the order of patients.

    Returns:
        Ascending indices into the R records.
    """
    names, patient_of = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    has = np.zeros((len(names), targets.shape[1]), bool)
    np.logical_or.at(has, patient_of, targets == 1)
    order = stratified_order(has, np.random.default_rng(seed))
    sizes = np.bincount(patient_of)[order].cumsum()
    taken = order[: max(1, int(np.searchsorted(sizes, count, side="right")))]
    return np.flatnonzero(np.isin(patient_of, taken))


def strata(data: TaskData) -> NDArray[np.int8]:
    """Return the strata of draws: the labels, or for a regression the quintile of each number.

    Returns:
        0 and 1, ``[len(data.rows), C]``; for a regression ``[len(data.rows), 5 C]``.
    """
    if data.task.regression is None:
        return np.asarray(data.targets, np.int8)
    inner = np.quantile(data.targets, [0.2, 0.4, 0.6, 0.8], axis=0)  # (4, C)
    fifth = (data.targets > inner[:, None]).sum(axis=0)  # (R, C)
    return (fifth[:, :, None] == np.arange(5)).reshape(len(fifth), -1).astype(np.int8)


def stratified_order(has: Bools, rng: np.random.Generator) -> Indices:
    """Return an order of the P rows of ``has [P, C]`` whose beginnings all have about the label shares of the whole."""
    first = covering(has, rng)
    parts: list[Indices] = []
    _halve(has, np.arange(len(has)), first, rng, parts)
    return np.concatenate([np.empty(0, np.int64), *parts])


def covering(has: Bools, rng: np.random.Generator) -> Indices:
    """Return a few rows that together have every label.

    For the rarest missing label, it adds a row of that label with the most missing labels.
    """
    missing, chosen = has.any(0), []
    frequency = has.sum(0)
    while missing.any():
        label = min(np.flatnonzero(missing), key=lambda c: frequency[c])
        members = np.flatnonzero(has[:, label])
        gains = has[members][:, missing].sum(1) + rng.random(len(members))  # below 1, so that only ties are random
        chosen.append(int(members[gains.argmax()]))
        missing &= ~has[chosen[-1]]
    return np.array(chosen, np.int64)


def _halve(has: Bools, rows: Indices, first: Indices, rng: np.random.Generator, parts: list[Indices]) -> None:
    """Append `rows` to the order; the rows in `first` come first."""
    if len(rows) <= max(LEAF, 2 * len(first)):
        rest = rng.permutation(np.setdiff1d(rows, first, assume_unique=True))
        parts.append(np.concatenate([first, rest]))
        return
    inside = _first_half(has[rows], np.isin(rows, first), rng)
    _halve(has, rows[inside], first, rng, parts)
    _halve(has, rows[~inside], np.empty(0, np.int64), rng, parts)


def _first_half(has: Bools, fixed: Bools, rng: np.random.Generator) -> Bools:
    """Split rows into two parts with half of each label, rarest label first; `fixed` rows go to the first part.

    All rows of a label are placed at once: the first part takes as many as it still needs of the label.
    """
    inside, free = fixed.copy(), ~fixed
    half = has.sum(0) / 2
    while free.any():
        left = has[free].sum(0)
        if left.any():
            label = int(np.where(left > 0, left, len(has) + 1).argmin())
            members = rng.permutation(np.flatnonzero(free & has[:, label]))
            wanted = half[label] - has[inside, label].sum()
        else:  # rows without a label fill up the parts
            members = rng.permutation(np.flatnonzero(free))
            wanted = len(has) / 2 - inside.sum()
        n = int(np.clip(np.floor(wanted + rng.random()), 0, len(members)))
        inside[members[:n]] = True
        free[members] = False
    # If one part got all rows, for example because all are alike, split by number, so that the halving ends.
    if inside.all() or not inside.any():
        return fixed | (np.arange(len(has)) < len(has) // 2)
    return inside
