"""Label counts: nested, stratified, whole patients; and the curve that a probe makes of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry
from ecgkit.errors import TaskError
from ecgkit.evaluation.label_counts import curve, label_curve, nested_subsets, spread
from ecgkit.evaluation.probe import ProbeOptions, probe
from ecgkit.evaluation.results import find_rows
from ecgkit.evaluation.subject import untrained_subject
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from tests.conftest import Outcome
from tests.training.test_training import SMALL


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 120), st.integers(1, 40), st.integers(0, 2**31))
def test_subsets_are_nested_whole_patients_and_no_larger_than_asked(R: int, P: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, patients = (rng.random((R, 3)) < 0.3).astype(np.int8), rng.integers(0, P, R).astype(str)
    counts = sorted({1, R // 3 + 1, R // 2 + 1, R, 2 * R})
    subsets = nested_subsets(targets, patients.tolist(), counts, seed)
    previous: set[int] = set()
    for count in counts:
        rows = set(subsets[count].tolist())
        assert previous <= rows
        inside, outside = (set(patients[sorted(part)]) for part in (rows, set(range(R)) - rows))
        assert not inside & outside
        largest = max(np.bincount(np.unique(patients, return_inverse=True)[1]))
        assert len(inside) == 1 or len(rows) <= count
        assert len(rows) == R or len(rows) > count - largest
        previous = rows
    again = nested_subsets(targets, patients.tolist(), counts, seed)
    assert all((again[count] == subsets[count]).all() for count in counts)


def test_every_beginning_has_the_labels_of_the_whole() -> None:
    """With one label a patient, each label's number among the first n is what its share says, to one patient."""
    rng = np.random.default_rng(0)
    label = rng.choice(4, 400, p=[0.6, 0.3, 0.07, 0.03])
    targets = np.eye(4, dtype=np.int8)[label]
    names = [str(i) for i in range(400)]
    drawn = []
    for seed in range(3):
        subsets = nested_subsets(targets, names, [40, 100, 200], seed)
        for count, rows in subsets.items():
            expected = targets.sum(axis=0) * count / 400
            assert (np.abs(targets[rows].sum(axis=0) - expected) <= 2).all()
        drawn.append(set(subsets[100].tolist()))
    assert len(set.intersection(*drawn)) < 60  # seeds draw others


def test_a_curve_has_a_row_a_count_and_seed_and_ends_at_the_whole(cohort_store: Path, tmp_path: Path) -> None:
    store, entry = Store(cohort_store), host().get(MethodEntry, "stmem")
    task, head = host().get(TaskEntry, "simulated"), host().get(HeadEntry, "linear")
    subject = untrained_subject(entry, "tiny", SMALL, weights="random-init", seed=0)
    rows = label_curve(subject, store, task, head, tmp_path / "curve", [15, 40, 10_000], seeds=2)
    assert [(row.label_count, row.seed) for row in rows] == [(c, s) for c in (15, 40, 10_000) for s in (0, 1)]
    assert sorted(row.label_count for _, row in find_rows([tmp_path])) == [15, 15, 40, 40, 10_000, 10_000]
    whole = probe(subject, store, task, head, tmp_path / "whole", ProbeOptions())
    assert (whole.label_count, whole.fraction) == (None, 1.0)
    assert rows[4].classes == whole.classes and rows[4].fraction == 1.0
    for row in rows:
        assert row.counts["test"] == whole.counts["test"] and row.counts["val"] == whole.counts["val"]
        assert row.counts["train"]["records"] <= row.label_count
        assert row.fraction == row.counts["train"]["records"] / whole.counts["train"]["records"]
    assert len({row.hashes["split"] for row in rows}) == 5  # both draws of the whole are the whole
    points = curve(rows)
    assert [point.count for point in points] == [15, 40, 10_000]
    assert points[0].mean == pytest.approx(np.mean([row.macro_auroc for row in rows[:2]]))
    assert spread(points[2].aurocs) == (whole.macro_auroc, whole.macro_auroc)
    for counts in ([], [0], [5, 5]):
        with pytest.raises(TaskError, match="label counts"):
            label_curve(subject, store, task, head, tmp_path / "c", counts)


def test_a_curve_from_scratch_starts_anew_each_time(cohort_store: Path, tmp_path: Path) -> None:
    store, entry = Store(cohort_store), host().get(MethodEntry, "stmem")
    task, head = host().get(TaskEntry, "simulated"), host().get(HeadEntry, "linear")
    options = ProbeOptions(epochs=1)
    subject = untrained_subject(entry, "tiny", SMALL, weights="scratch", seed=0)
    rows = label_curve(subject, store, task, head, tmp_path / "c", [30, 10_000], seeds=1, options=options)
    whole = probe(subject, store, task, head, tmp_path / "whole", options)
    assert rows[1].classes == whole.classes


def test_the_command_prints_the_curve(ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path) -> None:
    words = ("probe", "--data", cohort_store, "--task", "simulated", "--method", "lamae", "--preset", "tiny",
             "--set", "depth=1", "--set", "width=16", "--random-init", "--out", tmp_path / "r")  # fmt: skip
    shown = ecgkit(*words, "--label-counts", "20,60", "--label-seeds", "2")
    assert shown.code == 0, shown.err
    assert "4 results" in shown.out and "by labelled training records" in shown.out
    assert len(find_rows([tmp_path / "r"])) == 4
    wrong = ecgkit(*words, "--label-counts", "20,many")
    assert wrong.code == 2 and "50,100,500" in wrong.err
