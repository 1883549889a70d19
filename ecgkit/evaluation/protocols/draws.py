"""Which training records are used when not all are: shares and counts, by one of three rules.

``stratified`` (ours): patients are put into one order, and an amount takes the patients at its beginning, so the
smaller draw lies inside the larger. The order comes from iterative stratification (Sechidis et al., On the
Stratification of Multi-Label Data, ECML PKDD 2011) into halves, the first of them again into halves, and so on; in
front stand the few patients that together have every label, so that no class loses all its positives as long as the
amount holds them.

``train-test-split``: scikit-learn's, without strata. ``sample``: a plain random sample of ``int(N r)``.
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
LEAF = 8  # patients: below, halves of a half tell no label from another


@dataclass(frozen=True)
class Amount:
    """How much of the training part is used: a share, or a number of records.

    Args:
        percent: Share in per cent.
        count: Number of records instead.
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
        """Whether it is the whole training part."""
        return self.count is None and self.percent == 100

    @property
    def name(self) -> str:
        """For folders: ``fraction-1`` or ``labels-50``."""
        return f"fraction-{self.percent:g}" if self.count is None else f"labels-{self.count}"

    def records(self, R: int) -> int:
        """Return how many of R records it asks for, 1 at least."""
        return max(1, round(R * self.percent / 100)) if self.count is None else self.count


def plain_draw(rule: Rule, R: int, amount: Amount, seed: int) -> Indices:
    """Choose among R records without looking at them, by ``train-test-split`` or ``sample``.

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
    """Choose whole patients with `count` records at most, but one patient at least; larger counts hold smaller ones.

    Args:
        targets: ``[R, C]`` of 0 and 1.
        patients: R ids.
        count: How many records.
        seed: Of the order.

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
    """Return what draws of training records are stratified by: the labels, or the fifth that each number lies in.

    Returns:
        ``[len(data.rows), C]``, or ``[len(data.rows), 5 C]`` of a regression, of 0 and 1.
    """
    if data.task.regression is None:
        return np.asarray(data.targets, np.int8)
    inner = np.quantile(data.targets, [0.2, 0.4, 0.6, 0.8], axis=0)  # (4, C)
    fifth = (data.targets > inner[:, None]).sum(axis=0)  # (R, C)
    return (fifth[:, :, None] == np.arange(5)).reshape(len(fifth), -1).astype(np.int8)


def stratified_order(has: Bools, rng: np.random.Generator) -> Indices:
    """Return an order of the P rows of ``has [P, C]`` whose every beginning has the labels of the whole."""
    first = covering(has, rng)
    parts: list[Indices] = []
    _halve(has, np.arange(len(has)), first, rng, parts)
    return np.concatenate([np.empty(0, np.int64), *parts])


def covering(has: Bools, rng: np.random.Generator) -> Indices:
    """Return few rows that together have every label: for the rarest that is missing, one with most missing labels."""
    missing, chosen = has.any(0), []
    frequency = has.sum(0)
    while missing.any():
        label = min(np.flatnonzero(missing), key=lambda c: frequency[c])
        members = np.flatnonzero(has[:, label])
        gains = has[members][:, missing].sum(1) + rng.random(len(members))  # below 1: only ties are random
        chosen.append(int(members[gains.argmax()]))
        missing &= ~has[chosen[-1]]
    return np.array(chosen, np.int64)


def _halve(has: Bools, rows: Indices, first: Indices, rng: np.random.Generator, parts: list[Indices]) -> None:
    """Append `rows` in order; `first` are those of them that stand in front."""
    if len(rows) <= max(LEAF, 2 * len(first)):
        rest = rng.permutation(np.setdiff1d(rows, first, assume_unique=True))
        parts.append(np.concatenate([first, rest]))
        return
    inside = _first_half(has[rows], np.isin(rows, first), rng)
    _halve(has, rows[inside], first, rng, parts)
    _halve(has, rows[~inside], np.empty(0, np.int64), rng, parts)


def _first_half(has: Bools, fixed: Bools, rng: np.random.Generator) -> Bools:
    """Split rows into two parts with half of each label, the rarest label first; `fixed` rows are in the first.

    All rows of a label are placed at once: as many go to the first part as it still wants of the label.
    """
    inside, free = fixed.copy(), ~fixed
    half = has.sum(0) / 2
    while free.any():
        left = has[free].sum(0)
        if left.any():
            label = int(np.where(left > 0, left, len(has) + 1).argmin())
            members = rng.permutation(np.flatnonzero(free & has[:, label]))
            wanted = half[label] - has[inside, label].sum()
        else:  # rows without a label fill the sizes up
            members = rng.permutation(np.flatnonzero(free))
            wanted = len(has) / 2 - inside.sum()
        n = int(np.clip(np.floor(wanted + rng.random()), 0, len(members)))
        inside[members[:n]] = True
        free[members] = False
    # Where one part got all, as of rows that are all alike, halve by number, for the order must end.
    if inside.all() or not inside.any():
        return fixed | (np.arange(len(has)) < len(has) // 2)
    return inside
