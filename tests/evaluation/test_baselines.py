"""Baselines without deep learning: their measurements, their heads, and a table of them beside encoders."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_shallow.config import MeasurementsConfig
from ecgkit_shallow.measurements import INTERVALS, LEAD, RHYTHM, MeasurementsEncoder, lead_statistics, rhythm
from ecgkit_shallow.plain import UNKNOWN
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ecgkit.api.models import encoders_of
from ecgkit.atomic import MARKER
from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.heads.settings import build_head, head_config
from ecgkit.evaluation.results.row import HEAD
from ecgkit.evaluation.suites.file import Suite, SuiteTask, requests_of
from ecgkit.leads import STANDARD_LEADS
from ecgkit.plugins import host
from ecgkit.simulate.ecg import simulate_ecg
from ecgkit.simulate.patient import draw_body
from ecgkit.store.reader import Store
from tests.api.runs import make_run
from tests.conftest import Outcome
from tests.evaluation.probing import check_predicts_again


def head_of(name: str, *settings: str, regression: bool = False) -> Head:
    entry = host().get(HeadEntry, name)
    head: Head = build_head(entry, 0, head_config(entry, settings), regression=regression)
    return head


def part(x: np.ndarray, targets: np.ndarray) -> Part:
    return Part(RecordFeatures({"pooled": x.astype(np.float32)}, ("I",), np.ones((len(x), 1), bool)), targets)


def parts(regression: bool = False) -> tuple[Part, Part, np.ndarray, np.ndarray]:
    """Training and validation parts whose targets no straight line can tell: whether two numbers have one sign."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    y = x[:, :1] * x[:, 1:2] if regression else (x[:, :1] * x[:, 1:2] > 0).astype(float)
    y = np.concatenate([y, np.ones_like(y)], axis=1)  # and one that is always the same
    return part(x[:300], y[:300]), part(x[300:450], y[300:450]), x[450:], y[450:]


def test_trees_learn_what_no_line_can() -> None:
    train, val, x, y = parts()
    head = head_of("boosting")
    head.fit(train, val)
    p = head.predict(part(x, y).features)
    assert ((p[:, 0] > 0.5) == (y[:, 0] > 0)).mean() > 0.85
    assert (p[:, 1] == 1).all()
    assert "trees" in head.choices()["chosen"]
    again = head_of("boosting")
    again.fit(train, val)
    np.testing.assert_array_equal(p, again.predict(part(x, y).features))


def test_the_number_of_trees_is_the_best_on_validation() -> None:
    train, val, *_ = parts()
    noise = part(val.features["pooled"], np.random.default_rng(1).permutation(val.targets))
    few, many = head_of("boosting", "trees=60", "rate=0.5"), head_of("boosting", "trees=60", "rate=0.5")
    few.fit(train, noise)
    many.fit(train, val)
    assert (few.state() or {})["trees"][0] < (many.state() or {})["trees"][0]


@pytest.mark.parametrize("regression", [False, True])
def test_kept_trees_predict_what_scikit_learn_does(regression: bool) -> None:
    """With missing features too, the arrays of the trees give the numbers of the fitted models."""
    train, val, x, y = parts(regression)
    rng = np.random.default_rng(0)
    x = x.astype(np.float32)
    for features, targets in ((train.features["pooled"], train.targets), (val.features["pooled"], val.targets), (x, y)):
        # Two neighbours in float32 often tell the class, and a threshold must stay between them.
        told = (targets[:, 0] > 0) != (rng.random(len(features)) < 0.3)
        features[:, 2] = np.where(told, np.nextafter(np.float32(1), np.float32(2)), np.float32(1))
        features[rng.random(features.shape) < 0.1] = np.nan
    head = head_of("boosting", regression=regression)
    head.fit(train, val)
    trees = [int(count) for count in re.findall(r"\d+", head.choices()["chosen"].split(" by ")[0])]
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    sizes = {"learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 20, "l2_regularization": 1.0}
    plain = kind(max_iter=trees[0], early_stopping=False, random_state=0, **sizes)
    plain.fit(train.features["pooled"], train.targets[:, 0])
    own = part(np.concatenate([x, train.features["pooled"]]), np.zeros((0, 2)))
    pooled = own.features["pooled"]
    expected = plain.predict(pooled) if regression else plain.predict_proba(pooled)[:, 1]
    found = head.predict(own.features)
    assert len(np.unique(found[:, 0])) > 50
    np.testing.assert_allclose(found[:, 0], expected, rtol=0, atol=1e-12)
    assert (found[:, 1] == 1).all()
    assert trees[1] == 0
    other = head_of("boosting", regression=regression)
    other.restore(head.state() or {}, part(x[:0], y[:0]))
    np.testing.assert_array_equal(other.predict(own.features), found)


def test_damaged_trees_are_refused() -> None:
    train, val, *_ = parts()
    head = head_of("boosting", "trees=5")
    head.fit(train, val)
    sound, like = dict(head.state() or {}), part(np.empty((0, 3)), np.empty((0, 2)))

    def changed(name: str, value: float, at: int = 0) -> dict[str, np.ndarray]:
        array = sound[name].copy()
        array[at] = value
        return {**sound, name: array}

    loop = changed("left", 0)
    loop["right"] = changed("right", 1)["right"]
    first = int(sound["nodes"][0])
    damaged = [
        (changed("left", len(sound["left"])), "behind it"),  # outside
        (changed("left", -1), "behind it"),
        (changed("right", first), "behind it"),  # in the next tree
        (loop, "behind it"),
        (changed("left", 0, first), "behind it"),  # back
        (changed("feature", 3), "none of the 3"),
        (changed("feature", -1), "none of the 3"),
        (changed("threshold", np.nan), "no number"),
        (changed("value", np.inf, 1), "no number"),
        (changed("start", np.nan), "no number"),
        (changed("constant", 7), "neither 0 nor 1"),
        (changed("nodes", 0), "no node or more than 29"),
        (changed("nodes", 30), "no node or more than 29"),
        (changed("nodes", first - 1), "add up"),
        (changed("trees", 9), "add up"),
        (changed("trees", -1), "no node"),
        ({**sound, "value": sound["value"][:-1]}, "lengths"),
        ({**sound, "start": sound["start"][:-1]}, "lengths"),
        ({**sound, "left": sound["left"].astype(np.float64)}, "float64"),
        ({**sound, "left": sound["left"][None]}, r"not a list of int32"),
    ]
    for arrays, said in damaged:
        with pytest.raises(ValueError, match=said):
            head_of("boosting", "trees=5").restore(arrays, like)
    with pytest.raises(KeyError, match="value"):
        head_of("boosting").restore({name: array for name, array in sound.items() if name != "value"}, like)


def test_trees_and_means_predict_numbers() -> None:
    train, val, x, y = parts(regression=True)
    head, mean = head_of("boosting", regression=True), head_of("prevalence", regression=True)
    errors = []
    for each in (head, mean):
        each.fit(train, val)
        errors.append(np.abs(each.predict(part(x, y).features)[:, 0] - y[:, 0]).mean())
    assert errors[0] < 0.6 * errors[1]


def test_prevalence_is_the_share_in_training() -> None:
    train, val, x, y = parts()
    head = head_of("prevalence")
    head.fit(train, val)
    p = head.predict(part(x, y).features)
    np.testing.assert_array_equal(p, np.tile(train.targets.mean(0), (len(x), 1)))
    other = head_of("prevalence")
    other.restore(head.state() or {}, train)
    np.testing.assert_array_equal(p, other.predict(part(x, y).features))


def test_rhythm_of_known_beats() -> None:
    found = dict(zip(RHYTHM, rhythm(np.array([0, 250, 500, 1000]), 250.0, 2500), strict=True))
    assert found["beats"] == 4
    assert found["heart rate"] == pytest.approx(60 / (4 / 3))
    assert (found["shortest RR"], found["longest RR"]) == (1.0, 2.0)
    assert found["RMSSD"] == pytest.approx(np.sqrt(0.5))
    assert (rhythm(np.array([5]), 250.0, 2500)[1:] == UNKNOWN).all()


def test_statistics_of_a_lead_against_a_loop() -> None:
    rng = np.random.default_rng(0)
    x, peaks = rng.normal(size=(2, 500)), np.array([3, 100, 300])
    found = lead_statistics(x, peaks, 250.0)
    for lead in range(2):
        v = x[lead]
        z = [(value - v.mean()) / v.std() for value in v]
        reach = 15
        areas = [sum(v[p - reach : p + reach + 1]) / 250 for p in peaks if p >= reach]
        expected = {
            "mean": v.mean(),
            "SD": v.std(),
            "lowest": min(v),
            "highest": max(v),
            "mean size": sum(abs(v)) / 500,
            "skewness": sum(value**3 for value in z) / 500,
            "kurtosis": sum(value**4 for value in z) / 500,
            "zero crossings": sum((a < 0) != (b < 0) for a, b in itertools.pairwise(v)) / 499,
            "R": np.median(v[[100, 300]]),
            "around R": np.median(areas),
        }
        np.testing.assert_allclose(found[lead], [expected[name] for name in LEAD], atol=1e-9)


def test_intervals_are_those_of_the_simulated_heart_in_half_of_the_records() -> None:
    """In the others, NeuroKit2's delineator begins the QRS complex at the P wave."""
    encoder, errors = MeasurementsEncoder(MeasurementsConfig()), dict[str, list[float]](QRS=[], QT=[])
    at = {name: len(RHYTHM) + INTERVALS.index(name) for name in INTERVALS}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        ecg = simulate_ecg(frozenset({"NSR"}), draw_body(rng), rng, fs=250.0)
        found = encoder.measured(ecg.clean, np.arange(12), ecg.rpeaks)
        true = ecg.measurements
        assert found[RHYTHM.index("heart rate")] == pytest.approx(60_000 / true.rr_interval, rel=0.05)
        errors["QRS"].append(1000 * found[at["QRS"]] - (true.qrs_end - true.qrs_onset))
        errors["QT"].append(1000 * found[at["QT"]] - (true.t_end - true.qrs_onset))
    assert all(sorted(map(abs, values))[2] < 40 for values in errors.values()), errors


def test_leads_and_padding_change_nothing_else() -> None:
    rng = np.random.default_rng(0)
    ecg = simulate_ecg(frozenset({"NSR"}), draw_body(rng), rng, fs=250.0)
    encoder, beats = MeasurementsEncoder(MeasurementsConfig()), torch.from_numpy(ecg.rpeaks)[None]
    x = torch.from_numpy(ecg.clean).float()[None]
    whole = encoder(x, torch.arange(12), beats=beats).pooled
    assert whole.shape == (1, encoder.width)
    some = encoder(x[:, [6, 1]], torch.tensor([6, 1]), beats=beats).pooled
    torch.testing.assert_close(some[:, : len(RHYTHM) + len(INTERVALS)], whole[:, : len(RHYTHM) + len(INTERVALS)])
    of_leads = len(RHYTHM) + len(INTERVALS) + 2
    given = some[0, of_leads:].view(len(STANDARD_LEADS), len(LEAD))
    assert given[[1, 6]].any(1).all()
    assert not given[[0, 2, 11]].any()
    nothing = encoder(x * 0, torch.arange(12), beats=torch.full((1, 3), -1)).pooled
    assert torch.isfinite(nothing).all()


def test_a_suite_adds_each_baseline_once_with_its_head(cohort_store: Path) -> None:
    task = SuiteTask("simulated", str(cohort_store))
    requests = requests_of(Suite(baselines=True, tasks=(task,), fractions={10.0: 2, 100.0: 1}))
    pairs = {(request.encoder.method, request.head) for request in requests}
    assert pairs == {("class_prevalence", "prevalence"), ("age_sex", "boosting"), ("measurements", "boosting")}
    assert len(requests) == 9
    # Draws share what was measured once.
    assert len({request.without_draw() for request in requests}) == 3


def test_an_encoder_with_weights_is_no_baseline() -> None:
    with pytest.raises(ConfigError, match="simclr has weights"):
        EncoderChoice(method="simclr", weights="none", preset="tiny").open(0)


def test_models_are_runs_patterns_and_words(tmp_path: Path) -> None:
    for name, family in (("a-s0", "jepa"), ("a-s1", "jepa"), ("b-s0", "clocs")):
        (make_run(tmp_path / "runs" / name, family, seed=int(name[-1])) / MARKER).write_text("run\n")
    (tmp_path / "runs" / "no-run").mkdir()

    def names(*models: str) -> list[str]:
        return [choice.name for choice in encoders_of(models, tmp_path)]

    every = ["a-s0", "a-s1", "b-s0"]
    assert sorted(names("all")) == every
    assert names(str(tmp_path / "runs" / "*"), str(tmp_path / "runs" / "a-s0")) == every
    assert names(str(tmp_path / "runs" / "*-s0"), "random") == ["a-s0", "b-s0", "jepa random-init", "clocs random-init"]
    # Runs that differ in their seed alone have one encoder with random weights.
    assert names("all", "random")[3:] in (
        ["jepa random-init", "clocs random-init"],
        ["clocs random-init", "jepa random-init"],
    )


def test_models_that_name_no_run_are_refused(tmp_path: Path) -> None:
    for models, said in ((["all"], "this folder holds"), ([str(tmp_path / "*")], "matches"), (["random"], "random")):
        with pytest.raises(ConfigError, match=said):
            encoders_of(models, tmp_path)


@pytest.mark.slow
def test_one_command_makes_a_table_and_continues_it(
    ecgkit: Callable[..., Outcome], cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("probe", "--baselines", "--tasks", "simulated", "--data", cohort_store, "--device", "cpu", "--json")
    first = ecgkit(*command)
    assert first.code == 3
    assert "ecgkit beats" in first.err  # of the measurements, which need R peaks
    rows = {row["run"]: row for row in json.loads(first.out)["results"]}
    assert set(rows) == {"class_prevalence", "age_sex"}
    assert {row["weights"] for row in rows.values()} == {"none"}
    assert rows["class_prevalence"]["macro_auroc"] == 0.5
    assert (tmp_path / "tables" / cohort_store.stem / "report.html").is_file()
    kept = [file.parent for file in (tmp_path / "tables").rglob(HEAD)]
    assert len(kept) == 2
    for folder in kept:
        check_predicts_again(folder, cohort_store)
    record = Store(cohort_store).table["record_id"].iat[4]
    asked = ("explain", kept[0], "--record", record, "--class", "AF", "--data", cohort_store)
    refused = ecgkit(*asked)
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "has no gradient. Explain it with --by occlusion" in refused.err
    shown = ecgkit(*asked, "--by", "occlusion")
    assert "shuffled weights   this encoder has none" in shown.out
    assert "+0.00" in shown.out and "-0.00" not in shown.out
    assert "This map is empty" in shown.out + shown.err
    assert json.loads(ecgkit(*command).out)["done_before"] == 2
    refused = ecgkit(*command, "--method", "stmem")
    assert (refused.code, "--models names the encoders" in refused.err) == (2, True)
