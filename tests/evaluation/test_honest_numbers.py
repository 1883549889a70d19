"""Intervals and tests on simulated test sets of patients with several records, where the truth is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from ecgkit.evaluation.results.row import PREDICTIONS, ROW, load_row
from ecgkit.evaluation.scores.areas import Areas, areas, macro_interval
from ecgkit.evaluation.scores.comparison import compare_aurocs
from ecgkit.evaluation.scores.significance import class_tests, differences_from, holm
from tests.conftest import synthetic_signal, write_wfdb

SAME = 0.5  # correlation of the scores of one patient's records


def simulate(
    seed: int, *, patients: int, prevalence: list[float], auroc: float = 0.8, models: int = 1
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, float]:
    """Return targets, the scores of equally good models, the patient of each record, and their true AUROC."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
    shape, classes = (len(patient), len(prevalence)), len(prevalence)

    def noise() -> np.ndarray:
        own = rng.normal(size=(patients, classes))[patient]
        return np.sqrt(SAME) * own + np.sqrt(1 - SAME) * rng.normal(size=shape)

    y = (rng.random((patients, classes)) < prevalence)[patient].astype(int)
    apart = np.sqrt(2) * norm.ppf(auroc)
    common = apart * y + noise()
    return y, [common + 0.5 * noise() for _ in range(models)], patient, norm.cdf(apart / np.sqrt(2.5))


def mean_areas(found: list[Areas]) -> tuple[list[float], np.ndarray, float]:
    scored = np.isfinite(found[0].values)
    shares = np.stack([one.cautious_shares[:, scored].mean(1) for one in found])
    freedom = float(np.median([one.freedom(scored) for one in found]))
    return [float(one.values[scored].mean()) for one in found], shares, freedom


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "prevalence"), [(150, [0.2] * 3), (300, [0.03, 0.05, 0.1, 0.3, 0.5])])
def test_intervals_hold_the_truth_as_often_as_they_say(patients: int, prevalence: list[float]) -> None:
    means, classes = [], []
    for trial in range(500):
        y, (scores,), patient, true = simulate(trial, patients=patients, prevalence=prevalence)
        found = areas(y, scores, patient)
        low, high = macro_interval(found, np.isfinite(found.values))
        means.append(low <= true <= high)
        ends = found.intervals
        classes += ((ends[:, 0] <= true) & (true <= ends[:, 1]))[np.isfinite(ends[:, 0])].tolist()
    assert 0.93 <= np.mean(means) <= 0.985
    assert 0.93 <= np.mean(classes) <= 0.985


@pytest.mark.parametrize(("auroc", "widest"), [(0.6, 0.5), (0.8, 0.5), (0.95, 0.4)])
def test_the_mean_over_classes_of_a_tiny_test_set_has_an_interval_that_holds_and_says_something(
    auroc: float, widest: float
) -> None:
    inside, widths = [], []
    for trial in range(200):
        y, (scores,), patient, true = simulate(trial, patients=13, prevalence=[0.2] * 3, auroc=auroc)
        found = areas(y, scores, patient)
        if not np.isfinite(found.values).any():
            continue
        low, high = macro_interval(found, np.isfinite(found.values))
        assert 0 <= low <= found.values[np.isfinite(found.values)].mean() <= high <= 1
        inside.append(low <= true <= high)
        widths.append(high - low)
    assert np.mean(inside) >= 0.93
    assert np.mean(widths) <= widest, "5.8 to 100.0 says nothing"


@pytest.mark.parametrize("auroc", [0.6, 0.8, 0.95])
@pytest.mark.parametrize("positives", [5, 10, 15])
def test_intervals_of_rare_classes_are_wide_enough(positives: int, auroc: float) -> None:
    inside, apart = [], np.sqrt(2) * norm.ppf(auroc)
    for trial in range(300):
        rng = np.random.default_rng(trial)
        y = np.repeat([1, 0], [positives, 200])
        scores = rng.normal(size=len(y)) + apart * y
        low, high = areas(y[:, None], scores[:, None], np.arange(len(y))).intervals[0]
        inside.append(low <= auroc <= high)
    assert np.mean(inside) >= 0.93


@pytest.mark.slow
def test_a_pair_of_equal_models_is_told_apart_as_often_as_the_level_says() -> None:
    rejected, by_class = [], []
    for trial in range(500):
        y, scores, patient, _ = simulate(trial, patients=150, prevalence=[0.2] * 3, models=2)
        found = [areas(y, own, patient) for own in scores]
        values, shares, freedom = mean_areas(found)
        rejected.append(differences_from(0, values, shares, freedom)[1].p < 0.05)
        by_class.append((holm(class_tests(*found)[1]) < 0.05).any())
    assert 0.03 <= np.mean(rejected) <= 0.07
    assert np.mean(by_class) <= 0.07, "one patient's records are not independent"


@pytest.mark.slow
def test_the_best_of_many_equal_models_is_not_called_better() -> None:
    called = []
    for trial in range(200):
        y, scores, patient, _ = simulate(trial, patients=150, prevalence=[0.2] * 3, models=10)
        values, shares, freedom = mean_areas([areas(y, own, patient) for own in scores])
        best = int(np.argmax(values))
        called.append(any(one.p < 0.05 for one in differences_from(best, values, shares, freedom)))
    assert np.mean(called) <= 0.08


def test_shuffled_labels_score_one_half() -> None:
    found = []
    for trial in range(200):
        y, (scores,), patient, _ = simulate(trial, patients=80, prevalence=[0.3])
        found.append(areas(np.random.default_rng(trial).permutation(y), scores, patient).values[0])
    assert abs(np.mean(found) - 0.5) < 0.01


def test_windows_of_a_recording_count_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y, common = rng.integers(0, 2, 60), rng.normal(size=60)
    paths = {}
    for copies in (1, 5):
        for name in "ab":
            own = common + 2 * y + np.random.default_rng(ord(name)).normal(size=60)
            rows = np.repeat(np.arange(60), copies)
            ids = [f"r{n}#{k % copies + 1}" for k, n in enumerate(rows)]
            frame = pd.DataFrame(
                {"record_id": ids, "patient_id": None, "part": "test", "y_A": y[rows], "p_A": own[rows]}
            )
            folder = tmp_path / f"{name}{copies}"
            folder.mkdir()
            frame.to_parquet(folder / PREDICTIONS)
            paths[name, copies] = folder / ROW
    one, five = (compare_aurocs(paths["a", n], [paths["b", n]])[paths["b", n]] for n in (1, 5))
    assert five.p == pytest.approx(one.p, abs=1e-6)
    assert five.difference.interval == pytest.approx(one.difference.interval)


TASK = """
title: Hopeless
source: made here
code_system: snomed
unlabelled: keep
labels:
  AF: {name: atrial fibrillation, codes: ["164889003"]}
  SB: {name: sinus bradycardia, codes: ["426177001"]}
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one positive", "constant", "three records"])
def test_hopeless_test_sets_end_in_a_sentence(ecgkit, tmp_path: Path, monkeypatch, kind: str) -> None:
    """No number without an interval that covers, and no crash: a sentence says why."""
    monkeypatch.chdir(tmp_path)
    for number in range(3 if kind == "three records" else 60):
        signal = np.zeros((12, 2500)) if kind == "constant" else synthetic_signal(2500, seed=number)
        af = number == 7 if kind == "one positive" else number % 2
        code = "164889003" if af else "426177001" if number % 3 else "426783006"
        name = f"A{number:04d}"
        write_wfdb(tmp_path / "cpsc", name, signal, comments=("Age: 60", "Sex: Male", f"Dx: {code}"))
        (tmp_path / "cpsc" / f"{name}.mat").touch()
    (tmp_path / "task.yaml").write_text(TASK)
    assert ecgkit("ingest", "cpsc", "--out", "s.zarr").code == 0
    encoder = ("--method", "stmem", "--preset", "tiny", "--random-init")
    shown = ecgkit("probe", *encoder, "--data", "s.zarr", "--task", "task.yaml", "--out", "p")
    said = shown.out + shown.err
    assert "bug in ecgkit" not in said and shown.code in (0, 2), said
    if shown.code == 2:
        assert "expected" in said or "no " in said
        return
    row = load_row(tmp_path / "p" / ROW)
    for score in row.classes:
        if score.interval is not None:
            assert score.interval[0] <= score.auroc <= score.interval[1]
            assert kind != "one positive" or score.label != "AF"
    assert row.warnings, "nothing is said of so few positives"
