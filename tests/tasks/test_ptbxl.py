"""The PTB-XL, CPSC 2018 and Chapman-Shaoxing-Ningbo tasks against the statement table and the published label lists."""

from pathlib import Path

import pandas as pd
import pytest

from ecgkit.entries import TaskEntry
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.tasks.data import task_data
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task

COLUMNS = {"diag": "diagnostic", "form": "form", "rhythm": "rhythm"}


def task(name: str) -> Task:
    return load_task(host().get(TaskEntry, name))


def codes(name: str) -> set[str]:
    return {code for label in task(name).labels.values() for code in label.codes}


def test_ptbxl_tasks_hold_the_statements_of_the_table(shared: Path) -> None:
    table = pd.read_csv(shared / "data" / "ptb-xl" / "scp_statements.csv", index_col=0)
    assert codes("ptbxl-all") == set(table.index)
    for name, column in COLUMNS.items():
        assert codes(f"ptbxl-{name}") == set(table.index[table[column] == 1])
    diagnostic = table[table["diagnostic"] == 1]
    for label in task("ptbxl-sub").labels.values():
        subclasses = diagnostic.loc[list(label.codes), "diagnostic_subclass"]
        assert subclasses.nunique() == 1
        assert set(label.codes) == set(diagnostic.index[diagnostic["diagnostic_subclass"] == subclasses.iloc[0]])


@pytest.mark.parametrize("name", ["ptbxl-sub", "ptbxl-form", "ptbxl-rhythm", "csn", "cpsc2018"])
def test_labels_and_names_are_the_published_ones(name: str, shared: Path) -> None:
    listed = pd.read_csv(shared / "specs" / "task_labels.csv", keep_default_na=False)
    expected = listed[listed["task"] == name.replace("-", "_")].set_index("label")["name"].to_dict()
    assert {label: found.name for label, found in task(name).labels.items()} == expected


@pytest.mark.parametrize(("name", "folder"), [("sub", "sub_class"), ("form", "form"), ("rhythm", "rhythm")])
def test_targets_equal_the_published_split_tables(name: str, folder: str, shared: Path, ptbxl_store: Path) -> None:
    store = Store(ptbxl_store)
    data = task_data(task(f"ptbxl-{name}"), name, store)
    path = next((shared / "data" / "splits" / "merl" / "ptbxl" / folder).glob("*_train.csv*"))
    published = pd.read_csv(path).set_index("ecg_id")
    ids = store.table["record_id"].iloc[data.rows[data.parts["train"]]].astype(int)
    ours = pd.DataFrame(data.targets[data.parts["train"]], index=ids.to_numpy(), columns=data.labels)
    both = ours.index.intersection(published.index)
    # The store is of release 1.0.1, the tables of 1.0.3: a few records or statements differ.
    assert len(both) >= 0.9 * len(ours)
    same = (ours.loc[both] == published.loc[both, list(data.labels)]).all(axis=1)
    assert same.mean() >= 0.99
