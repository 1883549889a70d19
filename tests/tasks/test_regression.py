"""Numbers of a store: formulas, named rules for what is left out, and clear refusals."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import wfdb
import yaml

from ecgkit.beats.peaks import write_peaks
from ecgkit.config import build
from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError, StoreError, TaskError
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.regression import FORMULAS, target_values
from ecgkit.tasks.task import Task

NAMES = ("age", "heart-rate", "qrs-duration", "qt")


class Made:
    """A store as far as formulas read it."""

    def __init__(self, dataset: str, **columns: object) -> None:
        self.path, self.attributes = Path("made.zarr"), {"dataset": dataset}
        self.table = pd.DataFrame(columns)

    def __len__(self) -> int:
        return len(self.table)


def entry(name: str) -> TaskEntry:
    return host().get(TaskEntry, name)


def test_formulas_are_those_of_the_tables() -> None:
    store = Made(
        "mimic-iv-ecg",
        rr_interval=[1000.0, 640, 0, None],
        qrs_onset=[200.0, 100, 100, 100],
        qrs_end=[290.0, 260, 180, None],
        t_end=[600.0, 420, 500, 500],
    )
    nan = np.nan
    expected = {
        "rr-interval": [60, 93.75, nan, nan],
        "qrs-duration": [90, 160, 80, nan],
        "qt": [400, 320, 400, 400],
        "qtc-bazett": [400, 400, nan, nan],
        "qtc-fridericia": [400, 320 / 0.64 ** (1 / 3), nan, nan],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(FORMULAS[name].values(store), values)


def test_what_is_missing_or_implausible_is_left_out_and_counted() -> None:
    task = load_task(entry("age"))
    assert task.regression is not None
    ages = [0.0, 89, 90, 119, 121, None, -1]
    anywhere = target_values(task.regression, "age", Made("code-15", age=ages))
    assert anywhere.complete.tolist() == [True, True, True, True, False, False, False]
    assert anywhere.left_out == {"no age": 1, "age outside 0 to 120 years": 2}
    hidden = target_values(task.regression, "age", Made("ptb-xl", age=ages))
    assert hidden.complete.tolist() == [True, True, False, False, False, False, False]
    assert hidden.left_out == {"no age": 1, "age outside 0 to 89 years": 4}


def test_ages_of_ptbxl_are_those_of_its_table(shared: Path, ptbxl_store: Path) -> None:
    store = Store(ptbxl_store)
    data = task_data(load_task(entry("age")), "age", store, numbers=True)
    table = pd.read_csv(shared / "data" / "ptb-xl" / "ptbxl_database.csv").set_index("ecg_id")
    ages = table["age"][table["age"] < 90]
    ids = store.table["record_id"].iloc[data.rows].astype(int)
    assert sorted(ids) == sorted(ages.index)
    assert data.targets[:, 0].tolist() == ages.loc[ids].tolist()
    over, none = int((table["age"] >= 90).sum()), int(table["age"].isna().sum())
    assert data.left_out == {"no age": none, "age outside 0 to 89 years": over}
    for part, folds in {"train": range(1, 9), "val": [9], "test": [10]}.items():
        assert set(table["strat_fold"].loc[ids.iloc[data.parts[part]]]) <= set(folds)


def test_a_simulated_cohort_gives_what_its_table_says(cohort: Path, cohort_store: Path) -> None:
    store = Store(cohort_store)
    truth = pd.read_csv(cohort / "machine_measurements.csv", dtype={"study_id": str}).set_index("study_id")
    expected = {
        "heart-rate": [60_000 / truth["rr_interval"]],
        "qrs-duration": [truth["qrs_end"] - truth["qrs_onset"]],
        "qt": [truth["t_end"] - truth["qrs_onset"]],
    }
    expected["qt"].append(expected["qt"][0] / np.sqrt(truth["rr_interval"] / 1000))
    for name, columns in expected.items():
        data = task_data(load_task(entry(name)), name, store, numbers=True)
        assert len(data.rows) == len(store) and not data.left_out
        ids = store.table["record_id"].iloc[data.rows]
        assert data.targets.shape == (len(store), len(columns)) and data.targets.dtype == np.float64
        for c, column in enumerate(columns):
            np.testing.assert_allclose(data.targets[:, c], column.loc[ids])


@pytest.mark.slow
def test_r_peaks_of_a_store_are_another_source_of_the_heart_rate(
    cohort: Path, cohort_store: Path, tmp_path: Path
) -> None:
    """The true beats of the cohort as the store's peaks, two of them spoilt."""
    task = load_task(entry("heart-rate"), ["regression.source=r-peaks"])
    path = Path(shutil.copytree(cohort_store, tmp_path / "cohort.zarr", ignore=shutil.ignore_patterns("beats")))
    store = Store(path)
    with pytest.raises(StoreError, match="no R peaks.*ecgkit beats"):
        task_data(task, "heart-rate", store, numbers=True)
    beats = [wfdb.rdann(str(cohort / record), "atr").sample.tolist() for record in store.table["path"]]
    beats[0] = beats[0][:2]
    flags = ["", "uneven", *[""] * (len(store) - 2)]
    columns = {"record_id": store.table["record_id"].tolist(), "rpeaks": beats, "flag": flags}
    (path / "beats").mkdir()
    write_peaks(path / "beats", pa.table(columns), {"store_sha256": store.content_hash})
    data = task_data(task, "heart-rate", store, numbers=True)
    expected = [60 / np.mean(np.diff(peaks) / 500) for peaks in beats[2:]]
    assert data.rows.tolist() == list(range(2, len(store)))
    np.testing.assert_allclose(data.targets[:, 0], expected)
    assert data.left_out == {"no heart rate": 2}
    table = task_data(load_task(entry("heart-rate")), "heart-rate", store, numbers=True).targets[2:, 0]
    assert np.median(np.abs(table - expected)) < 3, "beats a minute: ten seconds, and the rhythm's own mean"


@pytest.mark.parametrize("name", NAMES)
def test_a_task_of_numbers_is_refused_where_classes_are_needed(name: str, cohort_store: Path) -> None:
    with pytest.raises(TaskError, match=f"{name} is a regression task"):
        task_data(load_task(entry(name)), name, Store(cohort_store))


def test_a_store_without_the_columns_is_refused() -> None:
    task = load_task(entry("qt"))
    assert task.regression is not None
    with pytest.raises(TaskError, match="made.zarr .*has no column qrs_onset, t_end"):
        target_values(task.regression, "qt", Made("georgia", age=[1.0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sources: {any: {formula: __import__('os')}}", "no formula is called"),
        ("sources: {any: {formula: qt}}", "formula qt gives ms, and age is in years"),
        ("sources: {}", "at least one dataset"),
        ("range: [5, 5]", r"range \[5, 5\] must rise"),
        ("unit: ms", "formula age gives years, and age is in ms"),
    ],
)
def test_a_wrong_data_file_says_what_is_wrong(change: str, message: str) -> None:
    target = {"name": "age", "unit": "years", "range": [0, 120], "sources": {"any": {"formula": "age"}}}
    values = {"title": "Age", "regression": {"targets": {"age": target | yaml.safe_load(change)}}}
    with pytest.raises(ConfigError, match=message):
        build(Task, values)


def test_another_source_must_fit_the_one_target() -> None:
    with pytest.raises(ConfigError, match="gives ms, and age is in years"):
        load_task(entry("age"), ["regression.source=qt"])
    with pytest.raises(ConfigError, match="must be empty for a task of 2 targets"):
        load_task(entry("qt"), ["regression.source=qt"])


def test_a_task_has_classes_or_numbers_never_both_nor_neither() -> None:
    regression = yaml.safe_load((Path(host().entries.__code__.co_filename).parent / "tasks" / "age.yaml").read_text())
    with pytest.raises(ConfigError, match="must stand without"):
        build(Task, {**regression, "code_system": "scp", "labels": {"a": {"name": "A", "codes": ["A"]}}})
    with pytest.raises(ConfigError, match="code_system must say"):
        build(Task, {"title": "T", "labels": {"a": {"name": "A", "codes": ["A"]}}})


def test_the_task_of_the_documentation_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "regression.md").read_text()
    (text,) = re.findall(r"```yaml\n(.+?)```", page, flags=re.DOTALL)
    task = build(Task, yaml.safe_load(text))
    assert task.regression is not None and task.regression.targets["qtc"].unit == "ms"
    listed = set(re.findall(r"`([a-z-]+)`", page.split("| formula |")[1].split("A head of")[0]))
    assert listed == set(FORMULAS)
