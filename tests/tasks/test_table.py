"""Tasks of the user's own: a YAML file with codes, and one that names a CSV file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgkit.errors import EcgkitError
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData, task_data
from ecgkit.tasks.loading import find_task, load_task
from tests.conftest import Outcome

HEAD = "title: Mine\ntable:\n  path: labels.csv\n  id: ecg\n"


@pytest.fixture
def store(cohort_store: Path) -> Store:
    return Store(cohort_store)


def table(store: Store) -> pd.DataFrame:
    """Labels of the store's records as a CSV file could have them."""
    ids = store.table["record_id"].tolist()
    af = store.table["labels"].map(lambda codes: int("164889003" in codes)).tolist()
    return pd.DataFrame({"note": "x", "lvh": [0, 1] * (len(ids) // 2), "ecg": ids, "af": af})


def opened(folder: Path, store: Store, text: str, frame: pd.DataFrame, *settings: str) -> TaskData:
    (folder / "mine.yaml").write_text(text)
    frame.to_csv(folder / "labels.csv", index=False)
    return task_data(load_task(find_task(str(folder / "mine.yaml")), settings), "mine", store)


def test_columns_are_found_by_name_and_records_by_id(store: Store, tmp_path: Path) -> None:
    frame = table(store)
    text = HEAD + "  columns: [af, lvh]\nlabels:\n  af: {name: atrial fibrillation}\n"
    data = opened(tmp_path, store, text, frame.sample(frac=1, random_state=1))
    assert data.labels == ("af", "lvh") and data.task.labels["af"].name == "atrial fibrillation"
    assert len(data.rows) == len(store)  # a record without a positive label is a negative, not unlabelled
    np.testing.assert_array_equal(data.targets, frame[["af", "lvh"]].to_numpy()[data.rows])
    folds = store.table["fold"].to_numpy()[data.rows]
    assert set(folds[data.parts["test"]]) == {10} and set(folds[data.parts["train"]]) <= set(range(1, 9))
    assert (
        data.notes == () and data.table is not None and data.table.file == "labels.csv" and len(data.table.sha256) == 16
    )


def test_one_column_of_classes_and_a_split_of_its_own(store: Store, tmp_path: Path) -> None:
    frame = table(store)
    frame["rhythm"] = ["sinus", "flutter", "", "paced"] * (len(frame) // 4)
    frame["part"] = (["train"] * 3 + ["val", "test", ""]) * (len(frame) // 6)
    text = HEAD + "  class_column: rhythm\n  split_column: part\n"
    data = opened(tmp_path, store, text, frame)
    assert data.labels == ("flutter", "paced", "sinus")
    assert (data.targets.sum(axis=1) == 1).all()
    for part, rows in data.parts.items():
        said = frame.iloc[data.rows[rows]]
        assert set(said["part"]) == {part}
        assert [data.labels[c] for c in data.targets[rows].argmax(axis=1)] == said["rhythm"].tolist()
    assert any("30 records of labels.csv left out" in note for note in data.notes)
    assert any("in more than one part of the split" in note for note in data.notes)
    assert data.table is not None and (data.table.split_column, data.table.file) == ("part", "labels.csv")
    named = opened(tmp_path, store, text + "labels:\n  paced: {name: p}\n  sinus: {name: s}\n", frame)
    assert named.labels == ("paced", "sinus") and any("60 records of labels.csv left out" in n for n in named.notes)


def test_folds_of_the_table_are_the_tasks(store: Store, tmp_path: Path) -> None:
    frame = table(store).assign(fold=[1, 2, 3, 4, 5, ""] * 20)
    text = HEAD + "  columns: [af]\n  fold_column: fold\nsplit: {train: [1, 2, 3], val: [4], test: [5]}\n"
    data = opened(tmp_path, store, text, frame)
    assert {part: len(rows) for part, rows in data.parts.items()} == {"train": 60, "val": 20, "test": 20}
    assert set(frame["fold"].iloc[data.rows[data.parts["test"]]]) == {5}


def test_what_is_not_in_both_is_counted_and_named(store: Store, tmp_path: Path) -> None:
    frame = table(store).iloc[:-7]
    more = pd.DataFrame({"ecg": [f"new{n}" for n in range(9)], "af": 1, "lvh": 0, "note": ""})
    data = opened(tmp_path, store, HEAD + "  columns: [af]\n", pd.concat([frame, more]))
    assert any(n.startswith("9 records of labels.csv are not in the store: new0, new1, new2") for n in data.notes)
    assert any(n.startswith("7 records of the store are not in labels.csv") for n in data.notes)
    assert len(data.rows) == len(frame)


@pytest.mark.parametrize(
    ("text", "change", "message"),
    [
        (HEAD + "  columns: [af, rbbb]\n", {}, "lacks column rbbb"),
        (HEAD + "  columns: [note]\n", {}, "column note of labels.csv holds 'x' for record"),
        (HEAD + "  columns: [af]\n", {"af": ""}, "holds '' for record"),
        (HEAD + "  columns: [af]\n", {"ecg": "same"}, "has record 'same' twice"),
        (HEAD + "  columns: [af]\n  split_column: note\n", {}, "'x'; expected train, val, test"),
        (HEAD + "  columns: [af]\n  fold_column: note\n", {}, "'x'; expected whole numbers"),
        (HEAD, {}, "names no label"),
        (HEAD + "  colums: [af]\n", {}, "unknown key 'colums'"),
        (HEAD + "  columns: [af]\n  class_column: note\n", {}, "exclude each other"),
        (HEAD.replace("labels.csv", "../labels.csv"), {}, "out of"),
        (HEAD.replace("labels.csv", "/etc/passwd"), {}, "out of"),
        (HEAD.replace("labels.csv", "other.csv") + "  columns: [af]\n", {}, "other.csv does not exist"),
        ("title: Mine\nlabels:\n  af: {name: x, codes: [AF]}\n", {}, "code_system must say"),
        ("title: Mine\ncode_system: scp\nlabels:\n  af: {name: x, code: [AF]}\n", {}, "labels: af: unknown key 'code'"),
        ("title: Mine\ncode_system: scp\nlabels:\n  af: {name: x}\n", {}, "must all have codes, and af"),
        ("- a list\n", {}, "a YAML mapping"),
        ("a: [\n", {}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_told(store: Store, tmp_path: Path, text: str, change: dict, message: str) -> None:
    with pytest.raises(EcgkitError) as error:
        opened(tmp_path, store, text, table(store).assign(**change))
    assert message in str(error.value)


def test_a_link_out_of_the_folder_is_not_followed(store: Store, tmp_path: Path) -> None:
    inside = tmp_path / "tasks"
    inside.mkdir()
    table(store).to_csv(tmp_path / "outside.csv", index=False)
    (inside / "labels.csv").symlink_to(tmp_path / "outside.csv")
    (inside / "mine.yaml").write_text(HEAD + "  columns: [af]\n")
    with pytest.raises(EcgkitError, match="out of"):
        load_task(find_task(str(inside / "mine.yaml")))


def test_ids_of_another_store_are_shown_beside_its_own(store: Store, tmp_path: Path) -> None:
    with pytest.raises(EcgkitError, match=f"a0, a1.*{store.table['record_id'][0]}"):
        opened(tmp_path, store, HEAD + "  columns: [af]\n", table(store).assign(ecg=[f"a{n}" for n in range(120)]))


def test_codes_in_a_file_of_ones_own_are_read_as_shipped_ones(store: Store, tmp_path: Path) -> None:
    text = "title: Mine\ncode_system: snomed\nunlabelled: keep\nlabels:\n  AF: {name: af, codes: ['164889003']}\n"
    data = opened(tmp_path, store, text, table(store))
    np.testing.assert_array_equal(data.targets[:, 0], table(store)["af"].to_numpy()[data.rows])
    dropped = opened(tmp_path, store, text, table(store), "unlabelled=drop")
    assert 0 < len(dropped.rows) == int(data.targets.sum())


def test_the_command_takes_a_file(
    ecgkit: Callable[..., Outcome], store: Store, cohort_store: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(HEAD + "  columns: [af, lvh]\n")
    table(store).iloc[:-2].to_csv(tmp_path / "labels.csv", index=False)
    words = (
        "probe",
        "--data",
        cohort_store,
        "--task",
        tmp_path / "mine.yaml",
        "--method",
        "stmem",
        "--preset",
        "tiny",
        "--set",
        "depth=1",
        "--set",
        "width=32",
        "--random-init",
        "--out",
        tmp_path / "r",
    )
    shown = ecgkit(*words)
    assert shown.code == 0, shown.err
    assert "Mine: linear" in shown.out and "2 records of the store are not in labels.csv" in shown.out + shown.err
    wrong = ecgkit(*words[:4], tmp_path / "none.yaml", *words[5:])
    assert wrong.code == 2 and "none.yaml cannot be read" in " ".join(wrong.err.split())
