"""Models over tasks, subgroups, maps of embeddings and Challenge scores, against plain computations."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import ecgkit
from ecgkit.config import fingerprint
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.cache import _write
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow, load_row
from ecgkit.evaluation.scores.challenge.formula import f_beta
from ecgkit.evaluation.scores.metrics import auroc
from ecgkit.evaluation.scores.ranks import MeanRanks, mean_ranks
from ecgkit.reporting.elements.ranks import place_ranks
from ecgkit.reporting.elements.section import Bars, HeatMap, Plot, Ranks
from ecgkit.reporting.page.write import render_report
from ecgkit.reporting.sections.across_tasks import across_tasks_section
from ecgkit.reporting.sections.challenge import challenge_section
from ecgkit.reporting.sections.embeddings import embeddings_section, project
from ecgkit.reporting.sections.subgroups import subgroups_section
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable
from ecgkit.tasks.loading import find_task, load_task
from tests.browsing.stores import write_predictions
from tests.report.rows import make_row

# Demšar 2006, table 5 (a): critical values of Nemenyi's test at 5 % for 2 to 10 models.
CRITICAL = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


@pytest.mark.parametrize(("models", "value"), list(enumerate(CRITICAL, 2)))
def test_the_critical_difference_is_that_of_the_printed_table(models: int, value: float) -> None:
    scores = np.random.default_rng(models).random((14, models))
    found = mean_ranks(scores)
    assert found.critical == pytest.approx(value * (models * (models + 1) / (6 * 14)) ** 0.5, rel=3e-4)
    if models > 2:  # with many tasks, Friedman's approximation holds
        scores = np.random.default_rng(models).random((40, models)) + np.linspace(0, 0.15, models)
        assert mean_ranks(scores).p == pytest.approx(scipy.stats.friedmanchisquare(*scores.T).pvalue, abs=0.02)


def test_groups_are_the_largest_sets_that_cannot_be_told_apart() -> None:
    found = MeanRanks(np.array([3.0, 1.0, 1.6, 4.5]), 0.01, 1.5)
    assert found.groups == [(1.0, 1.6), (1.6, 3.0)]
    always = mean_ranks(np.tile([0.9, 0.8, 0.7], (3, 1)))
    assert always.ranks.tolist() == [1, 2, 3]
    assert always.p == pytest.approx(1 / 36, abs=0.004)  # 6 of the 6 ** 3 ways to rank three models on three tasks


def test_a_picture_of_ranks_keeps_the_order_and_the_groups() -> None:
    drawn = place_ranks(Ranks((("a", 1.2), ("b", 2.0), ("c", 2.8)), ((1.2, 2.0),), 1.0))
    xs = [name.x for name in drawn.names]
    assert xs == sorted(xs)
    assert [name.anchor for name in drawn.names] == ["end", "end", "start"]
    assert drawn.groups[0][0] < xs[0] < xs[1] < drawn.groups[0][1] < xs[2]
    assert drawn.critical - drawn.left == pytest.approx((drawn.right - drawn.left) / 2, abs=0.01)


def test_only_models_with_every_task_are_ranked() -> None:
    levels = {"a": (0.9, 0.8, 0.7), "b": (0.8, 0.9, 0.6), "c": (0.5, 0.5, 0.5), "d": (0.99, None, None)}
    rows = [
        (Path(f"{run}/{task}/row.json"), make_row(run=run, task=f"task-{task}", macro_auroc=value))
        for run, values in levels.items()
        for task, value in enumerate(values)
        if value is not None
    ]
    section = across_tasks_section(rows)
    assert section is not None
    means, ranks = section.figures
    assert isinstance(means.chart, Bars)
    assert [(name, text) for name, _, text in means.chart.bars] == [("a", "80.0"), ("b", "76.7"), ("c", "50.0")]
    assert "Left out: 1 model" in means.note
    assert isinstance(ranks.chart, Ranks)
    assert ranks.chart.ranks == (("a", pytest.approx(4 / 3)), ("b", pytest.approx(5 / 3)), ("c", 3.0))
    assert "are few" in ranks.note
    assert "critical difference" in render_report(rows)
    assert across_tasks_section(rows[:1]) is None


@pytest.fixture
def result(cohort_store: Path, tmp_path: Path) -> tuple[Path, ResultRow, pd.DataFrame]:
    frame = write_predictions(cohort_store, tmp_path / "run" / "probes" / "one")
    path = tmp_path / "run" / "probes" / "one" / "row.json"
    return path, load_row(path), frame


def test_subgroups_are_means_over_the_classes_that_all_have(result, cohort_store: Path, monkeypatch) -> None:
    monkeypatch.setattr("ecgkit.reporting.sections.subgroups.FEWEST", 4)
    monkeypatch.setattr("ecgkit.reporting.sections.subgroups.FEWEST_UNITS", 1)
    path, row, frame = result
    section = subgroups_section([(path, row)], RecordTable(cohort_store))
    assert section is not None
    figure = next(figure for figure in section.figures if figure.title.endswith("by sex"))
    assert isinstance(figure.chart, HeatMap)
    sex = Store(cohort_store).table.frame().set_index("record_id")["sex"][frame["record_id"]].to_numpy()
    y, p = (frame[[f"{kind}_AF", f"{kind}_PVC"]].to_numpy() for kind in "yp")
    areas = {letter: auroc(y[sex == letter], p[sex == letter]) for letter in "MF"}
    both = np.isfinite(areas["M"]) & np.isfinite(areas["F"])  # a class that one sex lacks counts for neither
    for name, letter in (("men", "M"), ("women", "F")):
        column = figure.chart.columns.index(f"{name} ({(sex == letter).sum()})")
        assert figure.chart.values[0][column] == pytest.approx(areas[letter][both].mean())
    other = replace(row, hashes={"store": "0"})
    assert subgroups_section([(path, other)], RecordTable(cohort_store)) is None


def test_a_map_shows_the_kept_features_of_the_test_records(result, cohort_store: Path) -> None:
    path, row, frame = result
    key = fingerprint({"any": "key"})
    records = RecordTable(cohort_store)
    assert embeddings_section([(path, row)], records) is None  # nothing was kept
    rows = records.places(frame["record_id"].tolist())
    features = np.random.default_rng(0).normal(size=(len(rows), 8)).astype(np.float32)
    folder = path.parents[2] / "features" / key
    folder.mkdir(parents=True)
    _write(folder, rows[:-1], {"pooled": features[:-1]})  # one record was not kept
    row = replace(row, hashes={**row.hashes, "features": key})
    section = embeddings_section([(path, row)], records)
    assert section is not None
    chart = section.figures[0].chart
    assert isinstance(chart, Plot)
    drawn = sorted((point.x, point.y) for series in chart.series for point in series.points)
    assert np.allclose(drawn, sorted(map(tuple, project(features[:-1], "pca").tolist())))
    elsewhere = path.parents[3] / "elsewhere" / path.name  # not in the folder of its run, which its head names
    elsewhere.parent.mkdir()
    for file in path.parent.glob("*.*"):
        shutil.copy(file, elsewhere.parent)
    assert embeddings_section([(elsewhere, row)], records) is None
    run = os.path.relpath(path.parents[2], elsewhere.parent)
    (elsewhere.parent / "head.json").write_text(json.dumps({"encoder": {"run": run}}), encoding="utf-8")
    assert embeddings_section([(elsewhere, row)], records) == section


def test_the_map_keeps_the_directions_of_largest_spread() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(50, 5)) @ rng.normal(size=(5, 5))
    scaled = (features - features.mean(0)) / features.std(0)
    variances = np.linalg.eigvalsh(np.cov(scaled.T, bias=True))[::-1]
    assert np.allclose(project(features, "pca").var(0), variances[:2])
    assert project(np.ones((4, 3)), "pca").tolist() == [[0, 0]] * 4


@pytest.mark.slow
def test_umap_keeps_neighbours_together() -> None:
    """Importing UMAP compiles for many seconds. Records of one group lie nearer to each other than groups do."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(3), 30)
    features = rng.normal(size=(3, 8))[groups] * 10 + rng.normal(size=(90, 8))
    made = project(features, "umap")
    assert made.shape == (90, 2) and np.isfinite(made).all()
    assert (project(features, "umap") == made).all()
    middles = np.array([made[groups == group].mean(0) for group in range(3)])
    nearest = np.linalg.norm(made[:, None] - middles, axis=2).argmin(1)
    assert (nearest == groups).all()


def test_challenge_scores_have_f2_g2_and_their_mean(tmp_path: Path) -> None:
    labels, rng = list(load_task(find_task("cinc2020")).labels), np.random.default_rng(0)
    frame = pd.DataFrame({"record_id": np.arange(80).astype(str), "patient_id": np.arange(80).astype(str)})
    frame["part"] = ["val"] * 40 + ["test"] * 40
    for name in labels:
        frame[f"y_{name}"] = rng.integers(0, 2, 80)
        frame[f"p_{name}"] = 0.5 + (frame[f"y_{name}"] - 0.5) * 0.9
    frame.loc[70:, [f"p_{labels[0]}"]] = 0.5
    path = tmp_path / "row.json"
    frame.to_parquet(tmp_path / PREDICTIONS)
    path.write_text(json.dumps(asdict(make_row(task="cinc2020", task_title="CinC 2020"))))
    section = challenge_section([(path, load_row(path))])
    assert section is not None
    table = section.figures[0].table
    line = dict(zip(table.columns, table.rows[0], strict=True))
    test = frame["part"] == "test"
    y = frame.loc[test, [f"y_{name}" for name in labels]].to_numpy()
    assert line["√(F2 · G2)"] == pytest.approx((line["F2"] * line["G2"]) ** 0.5, abs=0.01)
    assert 90 < line["F2"] <= 100 * np.nanmean(f_beta(y, y, 2)) == 100
    assert "weights.csv" in section.note
    assert challenge_section([(Path("a/row.json"), make_row())]) is None


def test_what_cannot_be_shown_is_said(result, cohort_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--projection without --data"):
        ecgkit.report(tmp_path, projection="umap")
    ecgkit.report(tmp_path / "run", out=tmp_path / "page.html", data=cohort_store, tests=False)
    assert "No result on this store has kept features" in (tmp_path / "page.html").read_text()
