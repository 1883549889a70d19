"""Published split tables: columns and records by name, what is missing named, labels held against the store's own."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.entries import TaskEntry
from ecgkit.errors import TaskError
from ecgkit.evaluation.features.encoder import EncoderChoice
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.split_tables import read_tables, split_data
from ecgkit.ingestion import ingest
from ecgkit.plugins import host
from ecgkit.reporting.page.sentences import sentences
from ecgkit.store.reader import Store
from ecgkit.tasks.label_matrix import label_matrix
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task
from tests.conftest import Outcome


def task_of(name: str) -> Task:
    return load_task(host().get(TaskEntry, name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["super", "sub", "form", "rhythm"])
def test_ptbxl_tables_give_the_stores_own_labels(shared: Path, ptbxl_store: Path, name: str) -> None:
    """Published folds and labels; the sub-class train table has its columns in another order than val and test."""
    folder = shared / "data/splits/merl/ptbxl" / (f"{name}_class" if name in ("super", "sub") else name)
    store, task, tables = Store(ptbxl_store), task_of(f"ptbxl-{name}"), read_tables(folder)
    usable = np.ones(len(store), bool)
    found = split_data(tables, task, f"ptbxl-{name}", store, usable, shipped=True)
    exact = split_data(tables, task, f"ptbxl-{name}", store, usable, shipped=False)
    differs = (found.data.targets != exact.data.targets).any(1).sum()
    assert differs <= 2  # releases 1.0.1 and 1.0.3 of the dataset differ in a few records
    assert any("differ from the store's codes" in note for note in found.data.notes) == bool(differs)
    folds = store.table["fold"].to_numpy()[found.data.rows]
    assert {part: set(folds[of]) for part, of in found.data.parts.items()} == {
        "train": set(range(1, 9)),
        "val": {9},
        "test": {10},
    }
    train = tables.tables["train"]
    there = train["ecg_id"].isin(store.table["record_id"])
    assert len(found.order) == len(train) and ((found.order >= 0) == there).all()
    ids = store.table["record_id"].to_numpy()[found.data.rows[found.order[found.order >= 0]]]
    assert ids.tolist() == train["ecg_id"][there].tolist()
    lacks = [note for note in found.data.notes if note.startswith("the store lacks")]
    assert len(lacks) == 3 and f"{(~there).sum():,} of the {len(train):,} records" in lacks[0]


def test_the_order_of_columns_and_rows_does_not_matter(shared: Path, ptbxl_store: Path, tmp_path: Path) -> None:
    source = read_tables(shared / "data/splits/merl/ptbxl/super_class")
    for part, table in source.tables.items():
        shuffled = table.sample(frac=1, random_state=0)[list(table.columns[::-1])]
        name = f"mine_{part}.csv.gz" if part == "train" else f"mine_{part}.csv"
        shuffled.drop(columns=["ecg_id", "filename_hr"]).to_csv(tmp_path / name, index=False)
    store, task = Store(ptbxl_store), task_of("ptbxl-super")
    usable = np.arange(len(store)) % 7 > 0
    theirs, mine = (
        split_data(tables, task, "ptbxl-super", store, usable, shipped=True).data
        for tables in (source, read_tables(tmp_path / "mine"))
    )
    np.testing.assert_array_equal(theirs.rows, mine.rows)
    np.testing.assert_array_equal(theirs.targets, mine.targets)
    assert usable[theirs.rows].all() and theirs.unusable == mine.unusable > 0
    for part in theirs.parts:
        np.testing.assert_array_equal(theirs.parts[part], mine.parts[part])


def test_shipped_labels_of_chapman_differ_from_the_codes_and_are_counted(shared: Path, tmp_path: Path) -> None:
    """``ST`` in ``STTC``: the tables' labels come from substrings; records are found by file name."""
    ingest(shared / "data/cinc2021", tmp_path / "c.zarr")
    store, task = Store(tmp_path / "c.zarr"), task_of("csn")
    tables = read_tables(shared / "data/splits/merl/chapman")
    stems = {part: table["ecg_path"].str.extract(r"(JS\d+)")[0] for part, table in tables.tables.items()}
    here = set(store.table["record_id"])
    known = {part: sorted(here & set(of)) for part, of in stems.items()}
    if not all(known.values()):  # few of its records are in the store: put some of them into each part
        rows = pd.concat(tables.tables.values())[pd.concat(stems.values()).isin(here).to_numpy()]
        assert len(rows) >= 3
        rows.iloc[0, rows.columns.get_loc("VB")] = "1"  # as the tables have it of records that have AVB
        for i, part in enumerate(("train", "val", "test")):
            rows.iloc[i::3].to_csv(tmp_path / f"some_{part}.csv", index=False)
        tables = read_tables(tmp_path / "some")
    usable = np.ones(len(store), bool)
    shipped, exact = (split_data(tables, task, "csn", store, usable, shipped=s).data for s in (True, False))
    own = label_matrix(list(store.table["labels"]), task)[exact.rows]
    np.testing.assert_array_equal(exact.targets, own)
    differs = (shipped.targets != exact.targets).any(1).sum()
    told = [note for note in shipped.notes if "differ from the store's codes" in note]
    assert differs >= 1 and "VB 1" in told[0]
    assert f"in {differs} of {len(own)} records" in told[0] and "the tables are taken" in told[0]


def small(folder: Path, ids: list[str], **columns: list[str]) -> None:
    for part, name in zip(("train", "val", "test"), ids, strict=True):
        values = {"record_id": name.split(), **{c: v * len(name.split()) for c, v in columns.items()}}
        with gzip.open(folder / f"s_{part}.csv.gz", "wt") as file:
            pd.DataFrame(values).to_csv(file, index=False)


def test_wrong_tables_are_told(cohort_store: Path, tmp_path: Path) -> None:
    store, task = Store(cohort_store), task_of("simulated")
    usable, ids = np.ones(len(store), bool), store.table["record_id"].tolist()
    columns = {label: ["0"] for label in task.labels}
    for parts, changed, said in (
        ([f"{ids[0]} {ids[1]}", ids[2], ids[0]], columns, "1 records twice"),
        ([ids[0], ids[1], "other"], columns, "has no record of s_test"),
        ([ids[0], ids[1], ids[2]], dict(list(columns.items())[1:]), "has no column"),
        ([ids[0], ids[1], ids[2]], {**columns, next(iter(columns)): ["2"]}, "other label values"),
    ):
        small(tmp_path, parts, **changed)
        with pytest.raises(TaskError, match=said):
            split_data(read_tables(tmp_path), task, "simulated", store, usable, shipped=True)
    (tmp_path / "t_train.csv").touch()
    with pytest.raises(TaskError, match=r"t_train\.csv"):
        read_tables(tmp_path)
    with pytest.raises(TaskError, match=r"no table \*_train"):
        read_tables(tmp_path / "none")
    with pytest.raises(TaskError, match="whose targets the data says"):
        split_data(read_tables(tmp_path / "s"), task_of("icd10"), "icd10", store, usable, shipped=True)


@pytest.mark.slow
def test_a_probe_on_published_tables(
    ecgkit: Callable[..., Outcome], shared: Path, ptbxl_store: Path, tmp_path: Path
) -> None:
    """MERL's draw is of all that its table lists; what of it the store has is trained on."""
    where = shared / "data/splits/merl/ptbxl/super_class"
    encoder = EncoderChoice(method="lamae", weights="random-init", preset="tiny", settings=("depth=1", "width=16"))
    request = ProbeRequest(
        str(ptbxl_store),
        "ptbxl-super",
        encoder,
        protocol="merl",
        splits=str(where),
        amount=Amount(10),
        label_set="shipped",
        cache=None,
    )
    row = Probe(request).run(tmp_path / "r")
    facts, told = row.facts, sentences(row)
    assert (facts.protocol.name, facts.labels.label_set, facts.draw.random_state) == ("merl", "shipped", 42)
    assert told["protocol"].split()[0] == "merl"
    assert told["split"] == "published tables ptbxl_super_class"
    assert told["label set"] == "shipped" and "label set: shipped; the protocol" in told["departures"]
    assert "random state 42" in told["draw of training records"]
    assert len(row.hashes["split tables"]) == 64 and row.fraction == 0.1
    assert 10 < row.counts["train"]["records"] < 60
    assert sum("the store lacks" in warning for warning in row.warnings) == 3
