"""Draws of training records: nested, stratified, whole patients; the published ones are the published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from ecgkit.errors import ConfigError
from ecgkit.evaluation.probe.facts import protocol_facts
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount, covering, nested_subset, plain_draw, stratified_order
from ecgkit.evaluation.protocols.protocol import Protocol, load_protocol
from ecgkit.evaluation.results.facts import Departure, Facts
from ecgkit.reporting.page.sentences import protocol_words


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 120), st.integers(1, 40), st.integers(0, 2**31))
def test_subsets_are_nested_whole_patients_and_no_larger_than_asked(R: int, P: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, patients = (rng.random((R, 3)) < 0.3).astype(np.int8), rng.integers(0, P, R).astype(str)
    previous: set[int] = set()
    for count in sorted({1, R // 3 + 1, R // 2 + 1, R, 2 * R}):
        rows = set(nested_subset(targets, patients.tolist(), count, seed).tolist())
        assert previous <= rows
        inside, outside = (set(patients[sorted(part)]) for part in (rows, set(range(R)) - rows))
        assert not inside & outside
        largest = max(np.bincount(np.unique(patients, return_inverse=True)[1]))
        assert len(inside) == 1 or len(rows) <= count
        assert len(rows) == R or len(rows) > count - largest
        previous = rows


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 12), st.floats(0.005, 0.6), st.integers(0, 2**31))
def test_every_class_keeps_a_positive_as_soon_as_the_covering_fits(P: int, C: int, share: float, seed: int) -> None:
    has = np.random.default_rng(seed).random((P, C)) < share
    order = stratified_order(has, np.random.default_rng(seed))
    assert sorted(order) == list(range(P))
    first = covering(has, np.random.default_rng(seed))
    assert len(first) <= C and set(order[: len(first)]) == set(first)
    assert (has[order[: len(first)]].any(0) == has.any(0)).all()


def test_every_beginning_has_the_labels_of_the_whole() -> None:
    """With several labels a patient, each label's number among the first n is its share of them, to a few patients."""
    rng = np.random.default_rng(0)
    has = rng.random((800, 5)) < [0.5, 0.3, 0.1, 0.05, 0.02]
    drawn, plain = [], []
    for seed in range(4):
        order = stratified_order(has, np.random.default_rng(seed))
        drawn += [np.abs(has[order[:n]].sum(0) - has.sum(0) * n / 800) for n in (40, 100, 200, 400)]
        shuffled = np.random.default_rng(seed).permutation(800)
        plain += [np.abs(has[shuffled[:n]].sum(0) - has.sum(0) * n / 800) for n in (40, 100, 200, 400)]
    assert np.max(drawn) <= 6 and np.mean(drawn) < np.mean(plain) / 2
    first = [set(stratified_order(has, np.random.default_rng(seed))[:100]) for seed in range(3)]
    assert len(set.intersection(*first)) < 20  # seeds draw others


def test_the_published_draw_of_ptbxl_superclasses(shared: Path) -> None:
    """170 rows at 1 %, those of `train_test_split` on the table itself."""
    table = pd.read_csv(shared / "data/splits/merl/ptbxl/super_class/ptbxl_super_class_train.csv.gz")
    for percent, n in ((1, 170), (10, 1708)):
        theirs, _ = train_test_split(table, train_size=percent / 100, random_state=42)
        ours = plain_draw("train-test-split", len(table), Amount(percent), 42)
        assert len(ours) == n and set(table["ecg_id"].iloc[ours]) == set(theirs["ecg_id"])
    assert len(plain_draw("sample", len(table), Amount(1), 0)) == 170
    assert plain_draw("sample", 10, Amount(100), 0).tolist() == list(range(10))


@pytest.mark.slow
def test_rare_classes_of_ptbxl_survive_at_one_per_cent(shared: Path) -> None:
    table = pd.read_csv(shared / "data/splits/merl/ptbxl/sub_class/ptbxl_sub_class_train.csv.gz")
    targets, patients = table.iloc[:, 6:].to_numpy(), table["patient_id"].astype(str).tolist()
    one, ten = (nested_subset(targets, patients, Amount(p).records(len(table)), 3) for p in (1, 10))
    assert len(one) in range(165, 172) and set(one) < set(ten)
    assert (targets[one].sum(0) >= 1).all()
    expected = targets.sum(0) / 10
    assert (np.abs(targets[ten].sum(0) - expected) <= 3 + 0.1 * expected).all()


def test_protocols_pin_draws_heads_and_labels() -> None:
    names = ("default", "merl", "clear", "stmem", "lamae")
    found = {name: load_protocol(name) for name in names}
    assert [found["default"].draws(Amount(p)) for p in (0.5, 1, 5, 10, 50, 100)] == [5, 5, 3, 3, 1, 1]
    assert found["default"].draws(Amount(count=50)) == found["lamae"].draws(Amount(count=50)) == 3
    assert (found["merl"].draws(Amount(1)), found["merl"].draw_seed(0)) == (1, 42)
    assert (found["merl"].label_set("csn"), found["merl"].label_set("ptbxl-super")) == ("shipped", "exact")
    for name in names[1:]:
        assert found[name].title
        with pytest.raises(AttributeError):
            found[name].draw = "sample"
    assert isinstance(found["default"], Protocol)


def departures(name: str, head: str, seed: int, *, splits: bool) -> dict[str, Departure]:
    """The departures of a probe on 1 % that the protocol's own file does not name."""
    facts = protocol_facts(name, load_protocol(name), head=head, seed=seed, amount=Amount(1), splits=splits)
    return {departure.choice: departure for departure in facts.departures if not departure.note}


def test_what_a_probe_does_otherwise_than_its_protocol_is_a_departure() -> None:
    default = Facts(
        protocol=protocol_facts("default", load_protocol("default"), head="pma", seed=3, amount=Amount(1), splits=False)
    )
    assert default.protocol.departures == () and protocol_words(default) == "default (ecgkit's own rules)"
    found = departures("merl", "pma", 1, splits=False)
    assert {name: (of.used, of.protocol) for name, of in found.items()} == {
        "head": ("pma", "linear"),
        "draw": ("43", "42"),
        "split": ("own", "published tables"),
    }
    assert not departures("merl", "linear", 0, splits=True)
    assert not departures("clear", "hug", 0, splits=True)
    own = protocol_facts("merl", load_protocol("merl"), head="linear", seed=0, amount=Amount(1), splits=True)
    assert any("maximum over epochs of the test AUROC" in departure.note for departure in own.departures)
    assert "departs in " in protocol_words(Facts(protocol=own))


def test_a_negative_seed_is_refused_from_python_too() -> None:
    with pytest.raises(ConfigError, match="seed -1 must be 0 or more"):
        ProbeRequest("store.zarr", "simulated", seed=-1)
