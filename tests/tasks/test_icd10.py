"""ICD-10 labels against the public benchmark's program and the paper's tree, and the tasks made of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError, TaskError
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.icd10 import BLOCKS, ancestors, block_of, chapter_ix, clean_codes, level, parent, tree_order
from ecgkit.tasks.icd_benchmark import COLUMNS, Scenario, scenario_labels
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task


@pytest.fixture(scope="module")
def reference(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "icd_labels.json").read_text())


def table_of(reference: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(reference["table"]).rename(columns={"fold": "icd_fold"})


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Stays to try things on; always the same ones, whatever reference is judged."""
    return table_of(json.loads((Path(__file__).parent.parent / "golden" / "icd_labels.json").read_text()))


def test_scenarios_equal_the_public_program(reference: dict[str, Any]) -> None:
    assert reference["scenarios"]
    for name, expected in reference["scenarios"].items():
        check_scenario(Scenario.parse(name), expected, table_of(reference))


def check_scenario(scenario: Scenario, expected: dict[str, Any], table: pd.DataFrame) -> None:
    found = scenario_labels(scenario, table)
    known = set(found.vocabulary)
    assert sorted(known) == sorted(expected["vocabulary"])
    assert {label: n for label, n in found.counts.items() if label in known} == expected["counts"]
    assert [sorted(labels & known) for labels in found.train] == expected["labels_train"]
    assert [sorted(labels) for labels in found.test] == expected["labels_test_unfiltered"]
    stated = [len(cell) > 0 for cell in table[COLUMNS[scenario.train_labels]]]
    assert stated == expected["has_statements_train"]
    selected = [
        {
            "labels": sorted((found.train if part == "train" else found.test)[row] & known),
            "part": part,
            "study_id": int(table["study_id"][row]),
        }
        for part, rows in found.parts.items()
        for row in rows
    ]
    assert selected == sorted(expected["selected"], key=lambda row: ("train", "val", "test").index(row["part"]))
    counts = [found.counts[label] for label in found.vocabulary]
    assert counts == sorted(counts, reverse=True)


def test_the_tree_equals_the_reference(reference: dict[str, Any]) -> None:
    tree, table = reference["chapter_ix_tree"], table_of(reference)
    assert [f"IX.{first}-{last}" for first, last in BLOCKS] == tree["blocks"]
    labels = [chapter_ix(clean_codes(codes, 4)) for codes in table["all_diag_all"]]
    assert [sorted(of) for of in labels] == tree["labels"]
    for of in labels:
        assert all(parent(label) in of for label in of if label != "IX")


@pytest.mark.parametrize(
    ("code", "block"),
    [
        ("I1A9", "IX.I10-I1A"),
        ("I5A", "IX.I30-I5A"),
        ("I52", "IX.I30-I5A"),
        ("I214", "IX.I20-I25"),
        ("I99", "IX.I95-I99"),
        ("I03", None),
        ("I29", None),
        ("J12", None),
        ("I", None),
    ],
)
def test_blocks_go_by_the_first_three_characters(code: str, block: str | None) -> None:
    assert block_of(code) == block


def test_codes_are_cleaned_cut_and_given_their_ancestors() -> None:
    assert clean_codes([" I2510 ", "I7X", "I7XX", "I2519", ""], 4) == ("I251", "I7")
    assert clean_codes(["I2510"]) == ("I2510",)
    assert ancestors("I2510") == ("I25", "I251", "I2510")
    assert ancestors("I7") == ()
    assert chapter_ix(["E785", "J96"]) == set()
    assert chapter_ix(["I2510"]) == {"IX", "IX.I20-I25", "I25", "I251"}
    assert [level(label) for label in ("IX", "IX.I20-I25", "I25", "I251")] == [
        "chapter",
        "block",
        "category",
        "subcategory",
    ]
    assert [parent(label) for label in ("I251", "I25", "IX.I20-I25", "IX", "NORM")] == [
        "I25",
        "IX.I20-I25",
        "IX",
        None,
        None,
    ]
    assert tree_order(["I214", "IX.I20-I25", "I48", "IX", "I21", "IX.I30-I5A"]) == [
        "IX",
        "IX.I20-I25",
        "I21",
        "I214",
        "IX.I30-I5A",
        "I48",
    ]


@pytest.mark.parametrize("name", ["", "mimic_all", "mimic_all_all_all_all_x_4A", "mimic_none_all_all_all_5_4A"])
def test_what_is_no_scenario_is_refused(name: str) -> None:
    with pytest.raises(TaskError, match="scenario"):
        Scenario.parse(name)


class Listed(Store):
    """A store of which only the record table is looked at."""

    def __init__(self, table: pd.DataFrame, system: str = "icd10") -> None:
        self.path, self.attributes = Path("icd.zarr"), {"dataset": "d", "code_system": system}
        self.__dict__["table"] = table


@pytest.fixture
def store(table: pd.DataFrame) -> Listed:
    columns = {"labels": table["all_diag_all"], "fold": table["icd_fold"] % 8 + 1, "patient_id": table["subject_id"]}
    return Listed(table.assign(**columns))


def circulatory(*settings: str) -> Task:
    scenario = "icd10.scenario=mimic_all_allI_allfirst_all_2_4A"
    return load_task(host().get(TaskEntry, "icd10-circulatory"), (scenario, *settings))


def test_the_circulatory_task_is_the_tree_of_a_scenario(store: Listed) -> None:
    data = task_data(circulatory(), "icd10-circulatory", store)
    trees = [chapter_ix(clean_codes(codes, 4)) for codes in store.table["all_diag_all"]]
    expected = scenario_labels(Scenario.parse("mimic_all_allI_allfirst_all_2_4A"), store.table)
    assert list(data.labels) == tree_order(data.labels)
    assert data.labels[0] == "IX" and data.task.labels["I214"].name.startswith("non-ST")
    for label in data.labels:
        assert sum(label in tree for tree in trees) >= 2
    for part, rows in data.parts.items():
        assert sorted(data.rows[rows]) == sorted(expected.parts[part])
        for row in rows:
            assert {label for label, y in zip(data.labels, data.targets[row], strict=True) if y} == {
                label for label in data.labels if label in trees[data.rows[row]]
            }
    # A row of whose codes none is circulatory stays as a negative.
    assert (data.targets.sum(axis=1) == 0).any()
    assert "the publication has 228" in data.notes[0]
    scenario = "icd10.scenario=mimic_all_allI_allfirst_all_5_4A"
    everywhere, trained = (
        task_data(circulatory(scenario, f"icd10.count_on={where}"), "t", store).labels for where in ("all", "train")
    )
    assert set(trained) < set(everywhere)


def test_records_that_the_table_lacks_take_no_part(store: Listed) -> None:
    before = task_data(circulatory(), "t", store)
    changed = store.table.copy()
    changed["icd_fold"] = changed["icd_fold"].astype(float)
    changed["ecg_taken_in_ed_or_hosp"] = changed["ecg_taken_in_ed_or_hosp"].astype(object)
    row = int(before.rows[before.parts["train"][0]])
    changed.loc[row, ["icd_fold", "ecg_taken_in_ed_or_hosp"]] = [np.nan, None]
    after = task_data(circulatory(), "t", Listed(changed))
    assert set(before.rows) - set(after.rows) == {row}
    usable = np.ones(len(changed), bool)
    usable[row] = False
    assert task_data(circulatory(), "t", store, usable).unusable == 1


def test_a_store_that_does_not_fit_is_told_why(store: Listed, cohort_store: Path) -> None:
    with pytest.raises(TaskError, match="records_w_diag_icd10"):
        task_data(circulatory(), "t", Listed(store.table.drop(columns=["icd_fold"])))
    with pytest.raises(TaskError, match=r"2000 rows.*--task-set icd10.scenario=mimic_all_allI_allfirst_all_5_4A"):
        task_data(load_task(host().get(TaskEntry, "icd10-circulatory")), "t", store)
    with pytest.raises(TaskError, match="'icd10' labels"):
        task_data(circulatory(), "t", Store(cohort_store))
    with pytest.raises(ConfigError, match="scenario"):
        circulatory("icd10.scenario=mine")


def test_the_public_headline_scenario_is_a_task(store: Listed) -> None:
    task = load_task(host().get(TaskEntry, "icd10"), ["icd10.scenario=mimic_all_all_allfirst_all_3_5A"])
    data = task_data(task, "icd10", store)
    expected = scenario_labels(Scenario.parse("mimic_all_all_allfirst_all_3_5A"), store.table)
    assert data.labels == expected.vocabulary


def test_equivalent_codes_are_one_class_and_unscored_records_are_negatives(cohort_store: Path) -> None:
    task = load_task(host().get(TaskEntry, "cinc2020"))
    matrix = label_matrix([["713427006"], ["59118001"], ["59118001", "713427006", "1"], []], task)
    at = list(task.labels).index("CRBBB")
    assert matrix[:, at].tolist() == [1, 1, 1, 0] and matrix.sum() == 3
    store = Store(cohort_store)
    data = task_data(task, "cinc2020", store)
    assert len(data.rows) == len(store)
    simulated = task_data(load_task(host().get(TaskEntry, "simulated")), "simulated", store)
    both = [label for label in simulated.labels if label in data.labels]
    assert len(both) >= 6
    ours = data.targets[np.isin(data.rows, simulated.rows)]
    for label in both:
        pair = ours[:, data.labels.index(label)], simulated.targets[:, simulated.labels.index(label)]
        np.testing.assert_array_equal(*pair)


@pytest.mark.parametrize("year", [2020, 2021])
def test_challenge_tasks_equal_the_published_tables(year: int, shared: Path) -> None:
    folder = shared / "data" / "cinc_scoring" / str(year)
    published = pd.read_csv(folder / "dx_mapping_scored.csv", dtype=str)
    task = load_task(host().get(TaskEntry, f"cinc{year}"))
    assert sorted(c for label in task.labels.values() for c in label.codes) == sorted(published.iloc[:, 1])
    short = dict(zip(published.iloc[:, 1], published["Abbreviation"], strict=True))
    assert all(short[label.codes[0]] == name for name, label in task.labels.items())


def test_every_task_can_be_built_and_says_where_it_is_from() -> None:
    for entry in host().entries(TaskEntry).values():
        task = load_task(entry)
        assert task.source and task.title
        assert task.icd10 or task.entities or all(label.codes for label in task.labels.values())
    with pytest.raises(ValueError, match=r"challenge\.normal"):
        replace(load_task(host().get(TaskEntry, "cinc2020")), labels={"AF": task.labels["AF"]})
