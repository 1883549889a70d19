"""Scores of the Challenges against reference values, a plain version of the formulas, and their invariants."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError, ResultsError, TaskError
from ecgkit.evaluation.results.row import PREDICTIONS, save_row
from ecgkit.evaluation.scores.challenge.files import read_answers, read_weights
from ecgkit.evaluation.scores.challenge.formula import (
    challenge_score,
    challenge_scores,
    exact_match,
    f_beta,
    g_beta,
)
from ecgkit.evaluation.scores.challenge.score import choose_thresholds, score_result
from ecgkit.evaluation.scores.metrics import f1, macro_mean
from ecgkit.evaluation.scores.thresholds import GRID, common_grid_threshold, decide, grid_f1_thresholds
from ecgkit.plugins import host
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task
from tests.conftest import Outcome
from tests.evaluation.plain_challenge import plain_scores
from tests.reference_vectors import Reference
from tests.report.rows import make_row

YEARS = (2020, 2021)
NAMES = {
    "challenge": "challenge",
    "accuracy": "accuracy",
    "auroc": "auroc",
    "auprc": "auprc",
    "f_measure": "f1",
    "f_beta_2": "f_beta",
    "g_beta_2": "g_beta",
}


def task(year: int | str) -> Task:
    return load_task(host().get(TaskEntry, f"cinc{year}"))


@pytest.fixture(scope="module")
def references(golden: Path) -> dict[int, Reference]:
    return {year: Reference(golden / f"cinc{year}_scores.npz") for year in YEARS}


def reference_task(year: int, reference: Reference) -> Task:
    """The Challenge's task with the classes of a file of reference scores, in the file's order."""
    of = task(year)
    by_code = {label.codes[0]: name for name, label in of.labels.items()}
    names = [by_code[codes.split("|")[0]] for codes in reference["classes"].tolist()]
    return replace(of, labels={name: of.labels[name] for name in names})


def sinus_of(reference: Reference) -> int:
    """The place of normal sinus rhythm among a file's classes."""
    return [codes.split("|")[0] for codes in reference["classes"].tolist()].index(reference.sizes["sinus"])


def weights_file(shared: Path, year: int) -> Path:
    return shared / "data" / "cinc_scoring" / str(year) / "weights.csv"


def toy_weights(classes: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    half = rng.uniform(0.2, 0.5, (classes, classes))
    return np.where(np.eye(classes) == 1, 1.0, (half + half.T) / 2)


def check(scores: Any, reference: Reference, prefix: str) -> None:
    for name, ours in NAMES.items():
        if f"{prefix}{name}" in reference:
            value = scores.macro()[ours]
            np.testing.assert_allclose(value, reference[f"{prefix}{name}"], rtol=0, atol=1e-12, err_msg=prefix + name)
    for name in ("auroc", "auprc", "f_measure"):
        if f"{prefix}{name}_classes" in reference:
            ours = getattr(scores, NAMES[name])
            np.testing.assert_allclose(ours, reference[f"{prefix}{name}_classes"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("year", YEARS)
def test_scores_equal_the_reference(year: int, references: dict[int, Reference], shared: Path) -> None:
    reference = references[year]
    assert (reference.sizes["year"], reference.sizes["classes"]) == (year, len(reference["classes"]))
    weights = read_weights(weights_file(shared, year), reference_task(year, reference))
    cases = sorted({name.split("/")[1] for name in reference.arrays if name.startswith("edge/")})
    assert cases
    for prefix in ("", *(f"edge/{case}/" for case in cases)):
        y, p = reference[f"{prefix}labels"], reference[f"{prefix}binary"]
        s = reference.arrays.get(f"{prefix}scalar", p.astype(float))
        scores = challenge_scores(y, p, s, normal=sinus_of(reference), weights=weights, beta=2.0)
        check(scores, reference, prefix)


@pytest.mark.parametrize("year", YEARS)
def test_the_tasks_classes_are_those_of_the_published_program(year: int, references: dict[int, Reference]) -> None:
    of = reference_task(year, references[year])
    assert list(of.labels) == [name for name in task(year).labels if name in of.labels]
    assert list(of.labels).index("NSR") == sinus_of(references[year])


@pytest.mark.parametrize("year", YEARS)
def test_files_as_a_program_writes_them(
    year: int, references: dict[int, Reference], shared: Path, tmp_path: Path
) -> None:
    """The raw labels and outputs, through headers and CSV files, give the merged reference arrays and scores."""
    reference = references[year]
    of, raw = reference_task(year, reference), json.loads(str(reference["raw_labels"]))
    write_files(tmp_path, raw, reference)
    answers = read_answers(tmp_path / "labels", tmp_path / "outputs", of)
    np.testing.assert_array_equal(answers.targets, reference["labels"])
    np.testing.assert_array_equal(answers.predictions, reference["binary"])
    np.testing.assert_allclose(answers.probabilities, reference["scalar"], rtol=0, atol=1e-15)
    weights = read_weights(weights_file(shared, year), of)
    scores = challenge_scores(
        answers.targets, answers.predictions, answers.probabilities, normal=sinus_of(reference), weights=weights
    )
    check(scores, reference, "")
    scored = {code for label in of.labels.values() for code in label.codes}
    unscored = any(code not in scored for codes in raw for code in codes)
    assert any("not among the scored ones" in w for w in answers.warnings) is unscored


def write_files(folder: Path, labels: list[list[str]], reference: Reference) -> None:
    for kind in ("labels", "outputs"):
        (folder / kind).mkdir()
    header = ",".join(reference["output_codes"])
    for i, codes in enumerate(labels):
        spaced = "# Dx: " if i % 2 else "#Dx: "
        lines = [f"R{i:04d} 12 500 5000", *["x.mat 16 1000/mV 16 0 0 0 0 I"] * 3, "#Age: 60", spaced + ",".join(codes)]
        (folder / "labels" / f"R{i:04d}.hea").write_text("\n".join(lines) + "\n")
        rows = [f"#R{i:04d}", header]
        rows += [
            ",".join(map(str, reference["raw_binary"][i])),
            ",".join(map(repr, map(float, reference["raw_scalar"][i]))),
        ]
        (folder / "outputs" / f"R{i:04d}.csv").write_text("\n".join(rows) + "\n")


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(2, 6), st.integers(0, 2**31))
def test_scores_against_plain_loops(R: int, C: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, p = rng.random((R, C)) < 0.4, rng.random((R, C)) < 0.4
    s, weights = rng.integers(0, 5, (R, C)) / 4, toy_weights(C)
    plain = plain_scores(y.tolist(), p.tolist(), s.tolist(), weights.tolist(), 1)
    scores = challenge_scores(y, p, s, normal=1, weights=weights, beta=2.0).macro()
    assert scores.keys() == plain.keys()
    for name, value in plain.items():
        assert scores[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_the_case_that_was_worked_out_by_hand(shared: Path) -> None:
    of = task(2020)
    at = {label: c for c, label in enumerate(of.labels)}

    def rows(*labels: tuple[str, ...]) -> np.ndarray:
        out = np.zeros((len(labels), 24), bool)
        for row, names in zip(out, labels, strict=True):
            row[[at[name] for name in names]] = True
        return out

    y = rows(("NSR",), ("AF",), ("AF", "AFL"), ())
    p = rows(("NSR",), ("AF", "AFL"), (), ("IRBBB",))
    weights = read_weights(weights_file(shared, 2020), of)
    assert challenge_score(y, p, weights, at["NSR"]) == pytest.approx(0.20754716981132082, abs=1e-15)
    assert macro_mean(f_beta(y, p, 2)) == pytest.approx(0.4285714285714286, abs=1e-15)
    assert macro_mean(g_beta(y, p, 2)) == pytest.approx(0.375, abs=1e-15)
    assert macro_mean(f1(y, p)) == pytest.approx(0.41666666666666663, abs=1e-15)
    assert exact_match(y, p) == 0.25


def test_invariants() -> None:
    rng = np.random.default_rng(0)
    y, p, weights = rng.random((50, 6)) < 0.3, rng.random((50, 6)) < 0.3, toy_weights(6)
    sinus = np.zeros_like(y)
    sinus[:, 2] = True
    assert challenge_score(y, y, weights, 2) == 1
    assert challenge_score(y, sinus, weights, 2) == 0
    assert challenge_score(sinus, y, weights, 2) == 0
    assert np.isnan(challenge_score(sinus, y, weights, 2, undefined=np.nan))
    rows, classes = rng.permutation(50), rng.permutation(6)
    value = challenge_score(y, p, weights, 2)
    assert challenge_score(y[rows], p[rows], weights, 2) == pytest.approx(value)
    moved = challenge_score(
        y[:, classes], p[:, classes], weights[np.ix_(classes, classes)], int(np.flatnonzero(classes == 2)[0])
    )
    assert moved == pytest.approx(value)


@pytest.mark.slow
def test_weights_are_checked(shared: Path, tmp_path: Path) -> None:
    of = task(2020)
    unmerged = read_weights(weights_file(shared, 2020), task("2020-unmerged"))
    assert unmerged.shape == (27, 27)
    for year in YEARS:
        weights = read_weights(weights_file(shared, year), task(year))
        assert (weights == weights.T).all() and (np.diag(weights) == 1).all()
    shared_labels = [label for label in of.labels if label in task(2021).labels]
    rows = [[list(task(y).labels).index(label) for label in shared_labels] for y in YEARS]
    first, second = (read_weights(weights_file(shared, y), task(y)) for y in YEARS)
    np.testing.assert_array_equal(first[np.ix_(rows[0], rows[0])], second[np.ix_(rows[1], rows[1])])
    table = pd.read_csv(weights_file(shared, 2020), index_col=0)
    table.loc[59118001, "270492004"] = 0.1
    table.to_csv(tmp_path / "w.csv")
    with pytest.raises(TaskError, match="other weights for 713427006 than for 59118001"):
        read_weights(tmp_path / "w.csv", of)
    for text, message in (("a,b\n1", "do not match"), ("", "cannot be read"), (",x\nx,one\n", "cannot be read")):
        (tmp_path / "w.csv").write_text(text)
        with pytest.raises(TaskError, match=message):
            read_weights(tmp_path / "w.csv", of)
    with pytest.raises(TaskError, match="no weights of code 6374002"):
        read_weights(weights_file(shared, 2020), task(2021))


def one_file(folder: Path, output: str, dx: str = "#Dx: 164889003,426783006") -> tuple[Path, Path]:
    for name, content in (("labels/a.hea", f"a 12 500 5000\n{dx}\n"), ("outputs/a.csv", output)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder / "labels", folder / "outputs"


def test_odd_files_are_read_as_the_programs_meant_them(tmp_path: Path) -> None:
    of = task(2020)
    text = "#a\n\n164889003, 713427006,59118001,426783006\n 1.0,0,T,False\n0.5,0.2,x,nan\n"
    answers = read_answers(*one_file(tmp_path, text, "# Dx: 164889003 , 1"), of)
    found = {
        label: (bool(answers.predictions[0, c]), float(answers.probabilities[0, c]))
        for c, label in enumerate(of.labels)
        if label in ("AF", "CRBBB", "NSR", "SB")
    }
    assert found == {"AF": (True, 0.5), "CRBBB": (True, 0.1), "NSR": (False, 0.0), "SB": (False, 0.0)}
    assert answers.targets.sum() == 1
    texts = " ".join(answers.warnings)
    assert "1 decisions are other numbers equal to 1" in texts and "1 labels of 1 codes" in texts
    assert "21 times an output has no column" in texts
    unlabelled = read_answers(*one_file(tmp_path, text, "#Age: 3"), of)
    assert unlabelled.targets.sum() == 0
    assert "1 of 1 recordings have no scored label" in unlabelled.warnings


@pytest.mark.parametrize("output", ["", "#a\n164889003\n1\n", "#a\n164889003,1\n1\n0.5\n", "#a\n1\n1\n0.5,0.5\n"])
def test_a_malformed_output_is_named_or_negative(tmp_path: Path, output: str) -> None:
    folders = one_file(tmp_path, output)
    with pytest.raises(ResultsError, match=r"a\.csv has .*--lenient"):
        read_answers(*folders, task(2020))
    answers = read_answers(*folders, task(2020), lenient=True)
    assert not answers.predictions.any() and not answers.probabilities.any()
    assert any("1 malformed" in w for w in answers.warnings)


def test_a_missing_output_is_an_error(tmp_path: Path) -> None:
    labels, outputs = one_file(tmp_path, "#a\n1\n1\n1\n")
    (labels / "b.hea").write_text("b 12 500 5000\n")
    with pytest.raises(ResultsError, match=r"lacks 1 outputs, such as b\.csv"):
        read_answers(labels, outputs, task(2020))
    with pytest.raises(ResultsError, match="no folder"):
        read_answers(labels / "absent", outputs, task(2020))
    with pytest.raises(ResultsError, match=r"no \.hea file"):
        read_answers(outputs, outputs, task(2020))


def test_the_command_prints_what_the_library_gives(
    ecgkit: Callable[..., Outcome], references: dict[int, Reference], shared: Path, tmp_path: Path
) -> None:
    raw = json.loads(str(references[2020]["raw_labels"]))
    write_files(tmp_path, raw, references[2020])
    words = ("score", "--task", "cinc2020", tmp_path / "labels", tmp_path / "outputs")
    shown = ecgkit(*words, "--weights", weights_file(shared, 2020), "--json")
    assert shown.code == 0
    values = json.loads(shown.out)
    of = task(2020)
    if reference_task(2020, references[2020]).labels == of.labels:
        assert values["macro"]["challenge"] == pytest.approx(float(references[2020]["challenge"]), abs=1e-12)
    assert (values["recordings"], len(values["classes"])) == (len(raw), len(of.labels))
    plain = ecgkit(*words)
    assert plain.code == 0 and "weights.csv" in plain.out and "Challenge score  " not in plain.out
    wrong = ecgkit("score", "--task", "simulated", tmp_path / "labels", tmp_path / "outputs")
    assert (wrong.code, wrong.out) == (2, "") and "cinc2020" in wrong.err


def test_thresholds_against_a_plain_search() -> None:
    rng = np.random.default_rng(3)
    y, p = rng.random((60, 4)) < 0.3, rng.random((60, 4))
    y[:, 3] = False
    chosen = grid_f1_thresholds(y, p)
    for c in range(3):
        values = [f1(y[:, [c]], p[:, [c]] > t)[0] for t in np.arange(0, 1, 0.02)]
        assert chosen[c] == pytest.approx(0.02 * int(np.nanargmax(values)))
    assert chosen[3] == 0.5
    weights = toy_weights(4)
    judge = lambda a, b: challenge_score(a, b, weights, 0)  # noqa: E731
    best = max(GRID, key=lambda t: (judge(y, p > t), -t))
    assert common_grid_threshold(y, p, judge) == best
    assert not decide(np.array([[0.5]]), 0.5).any()


def test_a_probes_result_is_scored_with_thresholds_from_val(tmp_path: Path) -> None:
    of, rng = task(2021), np.random.default_rng(0)
    parts = np.repeat(["val", "test"], 80)
    frame = {"record_id": np.arange(160).astype(str), "patient_id": None, "part": parts}
    for label in of.labels:
        frame[f"y_{label}"] = (rng.random(160) < 0.3).astype(np.int8)
        frame[f"p_{label}"] = 0.6 * rng.random(160) + 0.3 * frame[f"y_{label}"]
    save_row(tmp_path / "r", make_row(task="cinc2021"), pd.DataFrame(frame))
    y, p = (np.stack([frame[f"{k}_{label}"] for label in of.labels], axis=1) for k in "yp")
    weights = toy_weights(26)
    for how in ("per_class", "global"):
        scored = score_result(tmp_path / "r", of, "cinc2021", weights, how)
        thresholds = choose_thresholds(y[:80], p[:80], of, of.challenge, weights, how)
        assert list(scored.thresholds.values()) == thresholds.tolist()
        normal = list(of.labels).index("NSR")
        assert scored.scores.challenge == challenge_score(y[80:], p[80:] > thresholds, weights, normal)
        assert (scored.recordings, scored.scores.f_beta) == (80, None)
    assert len(set(scored.thresholds.values())) == 1
    # What is in test changes no threshold.
    changed = pd.read_parquet(tmp_path / "r" / PREDICTIONS)
    changed.loc[changed["part"] == "test", [f"y_{label}" for label in of.labels]] = 1
    save_row(tmp_path / "r", make_row(task="cinc2021"), changed)
    assert score_result(tmp_path / "r", of, "cinc2021", weights, "global").thresholds == scored.thresholds
    with pytest.raises(TaskError, match="task cinc2021"):
        score_result(tmp_path / "r", task(2020), "cinc2020", weights)
    with pytest.raises(ConfigError, match="per_class or global"):
        score_result(tmp_path / "r", of, "cinc2021", weights, "best")
