"""Ridge, its scores and their intervals against scikit-learn and plain loops."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import t
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from torch import Tensor, nn

from ecgkit.api.report import report
from ecgkit.cli import render
from ecgkit.cli.probe_show import show_row
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.features.encoder import ProbedEncoder, untrained_encoder
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.ridge import GRID, RidgeHead, ridge_path
from ecgkit.evaluation.protocols.draws import strata
from ecgkit.evaluation.results.row import Estimate, ResultRow, find_rows, load_row
from ecgkit.evaluation.scores.bootstrap import bootstrap_counts
from ecgkit.evaluation.scores.comparison import compare_errors
from ecgkit.evaluation.scores.regression import METRICS, regression_metrics
from ecgkit.methods import Encoder, Features
from ecgkit.plugins import host
from ecgkit.reporting.page.sentences import sentences
from ecgkit.reporting.page.write import render_report
from ecgkit.reporting.sections.regression import regression_section
from ecgkit.reporting.tables.formats import to_csv, to_json, to_latex, to_markdown
from ecgkit.reporting.tables.regression import target_tables
from ecgkit.reporting.tables.report_tables import ReportTables, report_tables
from ecgkit.reporting.tables.summary import summary_table
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.wording import bounds, quantity
from tests.evaluation.probing import probe
from tests.training.test_training import SMALL


def features_of(x: np.ndarray) -> RecordFeatures:
    return RecordFeatures({"pooled": x.astype(np.float32)}, ("I",), np.ones((len(x), 1), bool))


def parts(rng: np.random.Generator, n: int = 60, width: int = 8) -> tuple[Part, Part, RecordFeatures]:
    x = rng.normal(size=(2 * n, width)) * np.geomspace(0.01, 100, width)
    x[:, 3] = 7  # a constant feature
    x[:, 4] = x[:, 5]  # two that are the same
    y = x[:, [0]] * 300 + np.stack([x[:, 1], rng.normal(size=2 * n)], axis=1) + [70, 400]
    features = features_of(x)
    train, val = (Part(features.take(rows), y[rows]) for rows in np.split(np.arange(2 * n), 2))
    return train, val, features


@pytest.mark.parametrize(("n", "width"), [(50, 7), (7, 50), (30, 30)])
def test_ridge_equals_scikit_learn_and_the_normal_equations_for_every_penalty(n: int, width: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, width)), rng.normal(size=(n, 3))
    x, y = x - x.mean(0), y - y.mean(0)
    path = ridge_path(x, y, np.array(GRID))
    for penalty, found in zip(GRID, path, strict=True):
        alpha = n * penalty
        theirs = Ridge(alpha=alpha, solver="svd").fit(x, y)
        np.testing.assert_allclose(x @ found, theirs.predict(x), rtol=0, atol=1e-8)
        if penalty >= 1e-3:  # below, the normal equations of fewer records than features lose digits themselves
            plain = np.linalg.solve(x.T @ x + alpha * np.eye(width), x.T @ y)
            np.testing.assert_allclose(found, plain, rtol=0, atol=1e-8)


def test_head_is_the_ridge_that_val_prefers_for_each_target() -> None:
    train, val, features = parts(np.random.default_rng(1))
    head = RidgeHead()
    head.fit(train, val)
    x = train.features["pooled"].astype(float)
    scale = np.where(x.std(0) > 0, x.std(0), 1)
    predicted = head.predict(features)
    chosen = []
    for c in range(2):
        models = {}
        for penalty in GRID:
            model = Ridge(alpha=penalty * len(x), solver="svd").fit((x - x.mean(0)) / scale, train.targets[:, c])
            error = np.square(model.predict((val.features["pooled"] - x.mean(0)) / scale) - val.targets[:, c]).mean()
            models[penalty] = (error, model)
        best = min(models, key=lambda penalty: models[penalty][0])
        chosen.append(f"{best:g}")
        expected = models[best][1].predict((features["pooled"] - x.mean(0)) / scale)
        np.testing.assert_allclose(predicted[:, c], expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert chosen[0] != chosen[1], "the two targets want different penalties"
    assert head.choices()["chosen"] == f"lambda = {', '.join(chosen)} by squared error on val"


def test_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(400, 30, size=(80, 2))
    p = y + rng.normal(5, 20, size=y.shape)
    found = regression_metrics(y, p)
    assert tuple(found) == METRICS
    for c in range(2):
        expected = (
            mean_absolute_error(y[:, c], p[:, c]),
            root_mean_squared_error(y[:, c], p[:, c]),
            r2_score(y[:, c], p[:, c]),
            np.corrcoef(y[:, c], p[:, c])[0, 1],
        )
        np.testing.assert_allclose([found[name][c] for name in METRICS], expected, rtol=1e-12)


def test_what_is_not_defined_is_nan() -> None:
    y = np.array([[1.0], [2.0], [4.0]])
    constant = regression_metrics(y, np.full_like(y, 0.1))
    assert np.isnan(constant["pearson"]).all()
    assert constant["r2"][0] == pytest.approx(r2_score(y, np.full_like(y, 0.1)))
    same = regression_metrics(np.full_like(y, 1 / 3), y)
    assert np.isnan(same["r2"]).all() and np.isnan(same["pearson"]).all()
    assert same["mae"][0] == pytest.approx(np.abs(y - 1 / 3).mean())


def test_resamples_equal_a_plain_loop_over_repeated_records() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(60, 20, size=(40, 2))
    p = y + rng.normal(0, 8, size=y.shape)
    weights = bootstrap_counts([f"patient {i // 3}" for i in range(40)], draws=150)
    found = regression_metrics(y, p, weights)
    for k, counts in enumerate(weights):
        rows = np.repeat(np.arange(40), counts)
        for c in range(2):
            expected = (
                mean_absolute_error(y[rows, c], p[rows, c]),
                root_mean_squared_error(y[rows, c], p[rows, c]),
                r2_score(y[rows, c], p[rows, c]),
                np.corrcoef(y[rows, c], p[rows, c])[0, 1],
            )
            np.testing.assert_allclose([found[name][k, c] for name in METRICS], expected, rtol=1e-9)


def test_paired_difference_equals_a_plain_loop(tmp_path) -> None:
    rng = np.random.default_rng(4)
    ids, patients = [f"r{i}" for i in range(50)], [f"p{i // 2}" for i in range(50)]
    y = rng.normal(60, 20, 50)
    predicted = {"a": y + rng.normal(0, 5, 50), "b": y + rng.normal(0, 9, 50), "c": y + rng.normal(0, 5, 50)}
    paths = {}
    for name, p in predicted.items():
        frame = pd.DataFrame({"record_id": ids, "patient_id": patients, "part": "test", "y_age": y, "p_age": p})
        (tmp_path / name).mkdir()
        # The order of records in a file must not matter.
        frame.sample(frac=1, random_state=1).to_parquet(tmp_path / name / "predictions.parquet")
        paths[name] = tmp_path / name / "row.json"
    other = pd.DataFrame({"record_id": ids, "patient_id": patients, "part": "test", "y_age": y + 1, "p_age": y})
    (tmp_path / "d").mkdir()
    other.to_parquet(tmp_path / "d" / "predictions.parquet")
    found = compare_errors(paths["a"], [paths["b"], paths["c"], tmp_path / "d" / "row.json"], "age")
    assert set(found) == {paths["b"], paths["c"]}, "other numbers do not compare"
    order = pd.read_parquet(tmp_path / "a" / "predictions.parquet")["record_id"].map(ids.index).to_numpy()
    errors = {name: np.abs(predicted[name] - y)[order] for name in "ab"}
    comparison, apart = found[paths["b"]], errors["a"] - errors["b"]
    owner = np.array(patients)[order]
    sums = np.array([(apart[owner == who] - apart.mean()).sum() for who in np.unique(owner)])
    error = np.sqrt(25 / 24 * (sums**2).sum()) / 50
    assert comparison.difference.value == pytest.approx(apart.mean(), rel=1e-12)
    ends = apart.mean() + t.ppf([0.025, 0.975], 24) * error
    assert comparison.difference.interval == pytest.approx(ends, rel=1e-9)
    assert comparison.difference.value < 0 and comparison.distinguishable
    alone = 2 * t.sf(abs(apart.mean()) / error, 24)
    assert comparison.p >= alone, "the choice of the best never lowers a p"
    assert not found[paths["c"]].distinguishable


class Steepness(Encoder):
    """Counts how often the steepness of a record rises past several shares of its highest: about once a beat."""

    width = 6

    def __init__(self) -> None:
        super().__init__()
        self.shares = nn.Parameter(torch.linspace(0.2, 0.7, self.width))

    def forward(self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None) -> Features:
        steep = F.avg_pool1d(signal.diff().abs().mean(1, keepdim=True), 25, 5)[:, 0]
        above = steep[:, :, None] > self.shares * steep.quantile(0.98, dim=1)[:, None, None]
        return Features(pooled=(above[:, 1:] & ~above[:, :-1]).float().sum(1))


@pytest.fixture(scope="module")
def results(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that counts beats, and an untrained one, on the simulated cohort's rates and intervals."""
    folder = tmp_path_factory.mktemp("regression")
    for encoder in (replace(encoder_of(), name="counts", encoder=Steepness()), encoder_of()):
        for name in ("heart-rate", "qt"):
            run_probe(cohort_store, name, folder / f"{name}-{encoder.name}", encoder)
    return folder


def encoder_of() -> ProbedEncoder:
    return untrained_encoder(host().get(MethodEntry, "stmem"), "small", SMALL, weights="random-init", seed=0)


def run_probe(store: Path, task: str, out: Path, encoder: ProbedEncoder, head: str = "linear") -> ResultRow:
    return probe(encoder, store, task, out, head, device="cpu")


@pytest.mark.slow
def test_a_probe_predicts_the_heart_rate_of_the_simulated_cohort(results: Path) -> None:
    row = load_row(results / "heart-rate-counts" / "row.json")
    frame = pd.read_parquet(results / "heart-rate-counts" / "predictions.parquet")
    test = frame[frame["part"] == "test"]
    y, p = test["y_heart-rate"], test["p_heart-rate"]
    (score,) = row.targets
    assert (row.macro_auroc, row.macro_interval, row.macro_auprc, row.classes) == (None, None, None, ())
    assert (score.unit, score.records) == ("bpm", len(test))
    assert score.metrics["mae"].value == pytest.approx(mean_absolute_error(y, p), rel=1e-12)
    assert score.metrics["r2"].value == pytest.approx(r2_score(y, p), rel=1e-12)
    low, high = score.metrics["mae"].interval
    assert low <= score.metrics["mae"].value <= high
    assert score.baseline["mae"].value == pytest.approx(np.abs(y - score.train_mean).mean(), rel=1e-12)
    assert score.baseline["r2"].value <= 0
    assert score.metrics["mae"].value < 0.5 * score.baseline["mae"].value, "an encoder that counts beats"
    assert score.metrics["r2"].value > 0.7
    origin = row.facts.labels.targets["heart-rate"]
    assert (origin.formula, origin.low, origin.high, origin.unit) == ("rr-interval", 20, 300, "bpm")
    told = sentences(row)["heart-rate"]
    assert told.startswith("60,000 / rr_interval (ms)") and "plausible from 20 to 300 bpm" in told
    two = load_row(results / "qt-counts" / "row.json")
    assert [(s.target, s.unit) for s in two.targets] == [("qt", "ms"), ("qtc", "ms")]


@pytest.mark.slow
def test_real_ages_end_to_end(ptbxl_store: Path, tmp_path: Path) -> None:
    row = run_probe(ptbxl_store, "age", tmp_path / "age", encoder_of())
    assert row.counts["left out"] == {"no age": 4, "age outside 0 to 89 years": 3}
    assert sum(row.counts[part]["records"] for part in ("train", "val", "test")) == 493
    assert "records left out by what they lack: no age 4, age outside 0 to 89 years 3" in row.warnings
    assert "over 89 the publisher gives no number" in sentences(row)["age"]
    (score,) = row.targets
    assert 0 < score.metrics["mae"].value < score.metrics["rmse"].value < 40


def test_draws_are_stratified_by_fifths(cohort_store: Path) -> None:
    task = load_task(host().get(TaskEntry, "qt"))
    data = task_data(task, "qt", Store(cohort_store), numbers=True)
    found = strata(data)
    assert found.shape == (len(data.rows), 10)
    for c, values in enumerate(data.targets.T):
        fifths = found[:, 5 * c : 5 * c + 5]
        assert (fifths.sum(axis=1) == 1).all(), "each number lies in one"
        highest = [values[fifths[:, k] == 1].max() for k in range(5)]
        assert highest == sorted(highest)
        assert abs(fifths.mean(axis=0) - 0.2).max() < 0.08, "ties apart, a fifth each"


def test_old_rows_load_without_targets(results: Path, tmp_path: Path) -> None:
    values = json.loads((results / "heart-rate-counts" / "row.json").read_text())
    del values["targets"]
    (tmp_path / "row.json").write_text(json.dumps(values))
    assert load_row(tmp_path / "row.json").targets == ()


@pytest.mark.parametrize("head", ["zero-shot", "ppa", "hug"])
def test_heads_of_classes_are_refused(cohort_store: Path, tmp_path: Path, head: str) -> None:
    with pytest.raises(RunError, match=f"{head} predicts classes, and age is a regression task.*numbers: linear"):
        run_probe(cohort_store, "age", tmp_path / "out", encoder_of(), head)
    assert not (tmp_path / "out").exists()


def test_training_from_scratch_is_refused(cohort_store: Path, ecgkit) -> None:
    out = ecgkit("probe", "--method", "stmem", "--preset", "tiny", "--scratch", "--data", cohort_store, "--task", "qt")
    assert out.code == 2
    assert "--scratch predicts classes, and qt is a regression task" in " ".join(out.err.split())


def test_the_table_on_the_terminal_is_in_the_unit(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(render.console, "width", 120)
    row = load_row(results / "heart-rate-counts" / "row.json")
    show_row(row, tmp_path)
    out = capsys.readouterr().out
    mae = row.targets[0].metrics["mae"]
    assert "MAE (bpm)" in out and "train mean" in out and "AUROC" not in out
    assert quantity(mae.value) in out and bounds(mae.interval) in out


def test_the_report_has_numbers_in_their_own_unit(results: Path, tmp_path: Path) -> None:
    rows = find_rows([results])
    tables = target_tables(rows)
    assert [(t.task, t.score.target, len(t.lines)) for t in tables] == [
        ("heart-rate", "heart-rate", 2),
        ("qt", "qt", 2),
        ("qt", "qtc", 2),
    ]
    for table in tables:
        best = min(table.lines, key=lambda line: line.score.metrics["mae"].value)
        assert [line.best for line in table.lines] == [line is best for line in table.lines]
        (other,) = (line for line in table.lines if line is not best)
        behind = other.score.metrics["mae"].value - best.score.metrics["mae"].value
        assert other.numbers["behind_best"] == pytest.approx(behind, rel=1e-9)
        assert other.numbers["behind_low"] <= behind <= other.numbers["behind_high"]
    whole = report_tables(rows)
    assert not whole.summary.lines, "no AUROC where there is none"
    mae = quantity(tables[0].lines[0].score.metrics["mae"].value)
    markdown, latex = to_markdown(whole), to_latex(whole)
    assert "MAE (bpm)" in markdown and mae in markdown and "MAE (ms)" in latex and mae in latex
    assert "AUROC" not in markdown + latex
    records = json.loads(to_json(whole))["regression"]
    assert [r["mae"] for r in records] == [line.score.metrics["mae"].value for t in tables for line in t.lines]
    lines = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert [(line["class"], line["unit"], float(line["mae"])) for line in lines[:2]] == [
        ("heart-rate", "bpm", line.score.metrics["mae"].value) for line in tables[0].lines
    ]
    section = regression_section(tables)
    assert section is not None and len(section.figures) == 6
    scatter = section.figures[3]
    frame = pd.read_parquet(tables[0].best.path.parent / "predictions.parquet").query("part == 'test'")
    assert scatter.table.rows == tuple(zip(frame["y_heart-rate"], frame["p_heart-rate"], strict=True))
    html = render_report(rows)
    assert html.count('<circle class="dot') == sum(len(f.table.rows) + 1 for f in section.figures[3:])  # and the legend
    assert "AUROC × 100 by class" not in html and "Numbers by class" not in html and 'id="summary"' not in html
    assert f"MAE {mae} bpm" in html


def test_a_report_without_tests_tests_no_regression_either(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a test was made")

    monkeypatch.setattr("ecgkit.reporting.tables.regression.compare_errors", refuse)
    with pytest.raises(AssertionError):
        report(results, out=tmp_path / "a.html")
    report(results, out=tmp_path / "b.html", json=tmp_path / "b.json", tests=False)
    assert "behind the best" not in (tmp_path / "b.html").read_text()
    assert {record["p"] for record in json.loads((tmp_path / "b.json").read_text())["regression"]} == {None}


def with_errors(row: ResultRow, seed: int, factor: float, **changes) -> ResultRow:
    """A row as of another seed, with every metric of every target multiplied."""

    def times(metrics: dict[str, Estimate]) -> dict[str, Estimate]:
        return {name: replace(e, value=e.value * factor) for name, e in metrics.items()}

    targets = (replace(s, metrics=times(s.metrics), baseline=times(s.baseline)) for s in row.targets)
    return replace(row, seed=seed, targets=tuple(targets), **changes)


def test_seeds_are_one_line_with_their_spread(results: Path) -> None:
    by_folder = {path.parent.name: (path, row) for path, row in find_rows([results])}
    (counts, row), (plain, other) = by_folder["qt-counts"], by_folder["qt-stmem-small-random-init"]
    factors = (1.0, 1.2, 1.7)
    rows = [(counts.parent / str(s) / "row.json", with_errors(row, s, f)) for s, f in enumerate(factors)]
    few = (plain.parent / "few" / "row.json", replace(other, fraction=0.1))
    alike = [(plain, other), (plain.parent / "again" / "row.json", replace(other, seed=1))]
    tables = target_tables([*rows, few, *alike])
    assert [(t.score.target, [(line.seeds, line.row.fraction) for line in t.lines]) for t in tables] == [
        (target, [(3, 1.0), (1, 0.1), (2, 1.0)]) for target in ("qt", "qtc")
    ]
    for table, score, single in zip(tables, row.targets, other.targets, strict=True):
        assert table.comparable and not any(line.comparison for line in table.lines), "a mean over seeds is not tested"
        assert [line.best for line in table.lines].count(True) == 1
        first, _, same = table.lines
        for name, estimate in score.metrics.items():
            values = [estimate.value * factor for factor in factors]
            found = first.metrics[name]
            assert (found.value, found.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
            assert found.interval is None
            assert (same.metrics[name].value, same.metrics[name].deviation) == (single.metrics[name].value, None)
            assert same.metrics[name].interval == single.metrics[name].interval
        assert first.baseline["mae"].value == pytest.approx(np.mean(factors) * score.baseline["mae"].value)
    mae = tables[0].lines[0].metrics["mae"]
    text = f"{quantity(mae.value)} ± {quantity(mae.deviation)}"
    whole = ReportTables(summary_table([]), tuple(tables))
    assert text in to_markdown(whole)
    assert text.replace("±", r"$\pm$") in to_latex(whole)
    record = json.loads(to_json(whole))["regression"][0]
    assert (record["seeds"], record["mae"], record["mae_deviation"]) == (3, mae.value, mae.deviation)
    section = regression_section(tables)
    assert section.figures[0].chart.texts[0][0] == f"{quantity(mae.value)}\n± {quantity(mae.deviation)}, 3 results"
    assert section.figures[0].chart.texts[2][0].endswith(", 2 alike")
    numbers = dict(zip(section.figures[0].table.columns, section.figures[0].table.rows[0], strict=True))
    assert (numbers["seeds"], numbers["mae"], numbers["mae_deviation"]) == (3, mae.value, mae.deviation)


def test_results_on_other_numbers_are_no_seeds_of_one(results: Path) -> None:
    path, row = next(pair for pair in find_rows([results]) if pair[1].task == "heart-rate")
    fewer = replace(row, seed=1, targets=tuple(replace(score, records=score.records - 1) for score in row.targets))
    (table,) = target_tables([(path, row), (path.parent / "x" / "row.json", fewer)])
    assert [line.seeds for line in table.lines] == [1, 1] and not table.comparable
    assert len({line.name for line in table.lines}) == 2
