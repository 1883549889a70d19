"""Labels in several code systems (CPSC 2018), and labels as a published table has them (Chapman-Shaoxing-Ningbo)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.entries import TaskEntry
from ecgkit.errors import ConfigError
from ecgkit.ingestion import ingest
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Label, Task

# Short labels of the published tables that are no label of the task, but hold one: AVB in 3AVB, SA in LVQRSAL.
OTHERS = {"3AVB": "27885002", "LVQRSAL": "251146004"}
WORDS = ["Normal", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE"]


def load(name: str, *settings: str) -> Task:
    return load_task(host().get(TaskEntry, name), settings)


@pytest.mark.slow
@pytest.mark.parametrize("label_set", ["exact", "shipped"])
def test_csn_labels_give_the_published_counts(label_set: str, shared: Path) -> None:
    task = load("csn", f"label_set={label_set}")
    codes = {name: label.codes[0] for name, label in task.labels.items()} | OTHERS
    counts = pd.read_csv(shared / "specs" / "task_labels.csv", keep_default_na=False)
    counts = counts[counts["task"] == "csn"].set_index("label")
    for part in ("train", "val", "test"):
        table = pd.read_csv(shared / "data" / "splits" / "merl" / "chapman" / f"chapman_{part}.csv.gz")
        texts = table["diagnose"].fillna("").str.split(",")
        records = [[codes[text] for text in record if text in codes] for record in texts]
        found = pd.DataFrame(label_matrix(records, task, "snomed"), columns=list(task.labels))
        column = part if label_set == "shipped" else f"exact_{part}"
        assert found.sum().to_dict() == counts[column].astype(int).to_dict()
        if label_set == "shipped":
            np.testing.assert_array_equal(found, table[list(task.labels)])


def test_rotation_codes_hold_as_many_records_as_the_tables() -> None:
    # The Challenge of 2021 counts 162 records with 251199005, counterclockwise, and 76 with 251198002, clockwise; the
    # tables have 141 CCR and 75 CR, so each fits one code only.
    labels = load("csn").labels
    assert (labels["CCR"].codes, labels["CR"].codes) == (("251199005",), ("251198002",))


def test_only_a_task_with_shipped_labels_has_that_label_set() -> None:
    with pytest.raises(ConfigError, match="label_set must be exact"):
        load("ptbxl-super", "label_set=shipped")


def test_cpsc_codes_are_as_frequent_as_the_challenge_says(shared: Path) -> None:
    listed = pd.read_csv(shared / "specs" / "task_labels.csv", keep_default_na=False)
    listed = listed[listed["task"] == "cpsc2018"].set_index("label")[["train", "val", "test"]].sum(axis=1)
    scored = pd.read_csv(
        shared / "data" / "cinc_scoring" / "2021" / "dx_mapping_scored.csv", dtype={"SNOMEDCTCode": str}
    )
    of_code = scored.set_index("SNOMEDCTCode")["CPSC"]
    task = load("cpsc2018")
    checked = {}
    for name, (code,) in task.codes("snomed").items():
        if code in of_code:
            assert listed[name] == of_code[code]
            checked[name] = code
    # STD, STE and VPC are not scored by the Challenges, so the shared tables do not list them.
    assert set(task.labels) - set(checked) == {"STD", "STE", "VPC"}


def test_cpsc_as_words_numbers_and_snomed_codes_is_one_task(shared: Path, tmp_path: Path) -> None:
    task = load("cpsc2018")
    assert sorted(code for codes in task.codes().values() for code in codes) == sorted(WORDS)
    ingest(shared / "data" / "cpsc2018", tmp_path / "words.zarr")
    words = Store(tmp_path / "words.zarr")
    assert words.code_system == "cpsc2018"  # 'Normal', 'AF' ... in the headers of February 2020
    by_word = label_matrix(list(words.table["labels"]), task, words.code_system)
    assert by_word.sum(axis=0).tolist() == [0, 4, 0, 3, 1, 0, 1, 0, 1]
    of_word = {task.codes()[name][0]: codes[0] for name, codes in task.codes("snomed").items()}
    as_codes = [[of_word[word] for word in record] for record in words.table["labels"]]
    np.testing.assert_array_equal(label_matrix(as_codes, task, "snomed"), by_word)


@pytest.mark.slow
def test_a_store_with_codes_of_the_challenges_has_the_task(tmp_path: Path) -> None:
    from tests.conftest import synthetic_signal, write_wfdb

    codes = [of[0] for of in load("cpsc2018").codes("snomed").values()]
    for number in range(60):
        name = f"A{number:04d}"
        write_wfdb(tmp_path / "cpsc", name, synthetic_signal(600, seed=number), comments=(f"Dx: {codes[number % 9]}",))
        (tmp_path / "cpsc" / f"{name}.mat").touch()
    ingest(tmp_path / "cpsc", tmp_path / "codes.zarr")
    store = Store(tmp_path / "codes.zarr")
    assert (store.attributes["dataset"], store.code_system) == ("cpsc2018", "snomed")
    data = task_data(load("cpsc2018"), "cpsc2018", store)
    assert (data.targets.sum(axis=1) == 1).all() and len(data.rows) == 60


def test_a_label_without_codes_is_refused() -> None:
    task = load("cpsc2018")
    for label in (Label("x"), Label("x", ("X",))):
        with pytest.raises(ValueError, match="must all have codes, and NEW"):
            replace(task, labels={**task.labels, "NEW": label})
