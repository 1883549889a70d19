"""An intended change of a store's table is a command with a log; any other change is refused."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ecgkit.beats.peaks import read_peaks
from ecgkit.errors import StoreError
from ecgkit.knowledge.labels import read_labels
from ecgkit.store.reader import Store
from ecgkit.store.relabelling import changes, relabel_store


@pytest.fixture
def store(cohort_store: Path, tmp_path: Path) -> Path:
    path = tmp_path / "s.zarr"
    return Path(shutil.copytree(cohort_store, path, ignore=shutil.ignore_patterns("views", "beats", "knowledge")))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_labels_are_changed_with_a_log_and_products_stay_valid(ecgkit, store: Path, tmp_path: Path) -> None:
    assert ecgkit("beats", store).code == 0
    assert ecgkit("extract-knowledge", store, "--min-count", 1).code == 0
    before = Store(store)
    old = before.table.frame()
    first, second, third = old["record_id"].head(3)
    table = write(tmp_path / "t.csv", f"record_id,labels,age\n{first},426783006; 164889003,71\n{second},,\n")
    done = ecgkit("relabel", store, table, "--json")
    assert done.code == 0, done.err
    after = Store(store)
    assert after.table.frame().set_index("record_id")["labels"][first].tolist() == ["426783006", "164889003"]
    assert after.table.frame().set_index("record_id")["labels"][second].tolist() == []
    assert after.table.frame().set_index("record_id")["age"][first] == 71
    others = ~old["record_id"].isin([first, second])
    pd.testing.assert_frame_equal(after.table.frame()[others], old[others])
    assert after.content_hash != before.content_hash
    [line] = changes(store)
    assert line == {key: value for key, value in json.loads(done.out).items() if key in line}
    assert (line["before"], line["after"]) == (before.content_hash, after.content_hash)
    assert line["records"] == 2 and line["source"]["file"] == "t.csv" and line["columns"]["labels"] == 2
    assert len(read_peaks(after)) == len(after) and read_labels(after).values.shape[0] == len(after)
    # The reports that entities were read from: those entities belong to the earlier store.
    assert ecgkit("relabel", store, write(tmp_path / "r.csv", f"record_id,report\n{third},Sinus rhythm.\n")).code == 0
    with pytest.raises(StoreError, match="other"):
        read_labels(Store(store))
    assert len(read_peaks(Store(store))) == len(after)
    # The same values again change nothing.
    again = ecgkit("relabel", store, tmp_path / "r.csv")
    assert again.code == 0 and "nothing has changed" in again.out and len(changes(store)) == 2
    # Back to the values of the ingest: the hash of the ingest.
    own = old[old["record_id"].isin([first, second, third])][["record_id", "labels", "age", "report"]]
    own.to_parquet(tmp_path / "back.parquet")
    assert ecgkit("relabel", store, tmp_path / "back.parquet").code == 0
    assert Store(store).content_hash == before.content_hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record_id,labels\nnobody,1\n", "has no record 'nobody'"),
        ("record_id,sha256\n{0},1\n", "column 'sha256' of .* cannot be changed; expected one of .*labels"),
        ("record_id,fold\n{0},11\n", "no fold from 1 to 10"),
        ("record_id,fold\n{0},many\n", "column 'fold' holds 'many'"),
        ("record_id,labels\n{0},1\n{0},2\n", "lists record .* twice"),
        ("id,labels\n{0},1\n", "no column 'record_id'.*--record-column"),
        ("record_id,patient_id\n{0},{patient}\n", "would be in 2 folds"),
    ],
)
def test_a_change_that_does_not_fit_changes_nothing(
    ecgkit, store: Path, tmp_path: Path, text: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    table = Store(store).table.frame()
    other = table[table["fold"] != table["fold"].iloc[0]]["patient_id"].iloc[0]
    file = write(tmp_path / "t.csv", text.format(table["record_id"].iloc[0], patient=other))
    done = ecgkit("relabel", store, file)
    assert done.code == 2
    assert re.search(message, done.err), done.err
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("fatal", range(1, 5))
def test_killed_at_any_rename_the_store_is_the_old_or_the_new_one(store: Path, fatal: int, monkeypatch) -> None:
    before = Store(store)
    first = before.table["record_id"].iloc[0]
    child = os.fork()
    if child == 0:
        steps = []

        def replace(source: Path, target: Path, real=os.replace) -> None:
            steps.append(target)
            if len(steps) == fatal:
                os._exit(9)
            real(source, target)

        os.replace = replace  # type: ignore[assignment]
        relabel_store(store, {"report": {first: "new"}}, {"file": "t", "sha256": "0"})
        os._exit(0)
    os.waitpid(child, 0)
    found = Store(store)
    is_new = found.table["report"].iloc[0] == "new"
    assert is_new == (found.content_hash != before.content_hash)
    relabel_store(store, {"report": {first: "new"}}, {"file": "t", "sha256": "0"})
    assert Store(store).table["report"].iloc[0] == "new"
    assert pq.read_table(store / "records.parquet")["report"][0].as_py() == "new"
    assert [line["after"] for line in changes(store)] == [Store(store).content_hash]
    assert not [path.name for path in store.iterdir() if path.name.startswith(".") and path.name != ".ecgkit"]


def test_a_table_that_was_edited_otherwise_is_refused_and_the_command_named(ecgkit, store: Path) -> None:
    table = pd.read_parquet(store / "records.parquet")
    table["report"] = "edited"
    table.to_parquet(store / "records.parquet")
    done = ecgkit("inspect", store)
    assert done.code == 2 and "has been changed since the store was made" in done.err and "ecgkit relabel" in done.err


def test_a_damaged_log_or_a_damaged_name_in_the_metadata_is_told(store: Path) -> None:
    (store / "changes.jsonl").write_text('{"by"')
    with pytest.raises(StoreError, match=r"changes\.jsonl cannot be read"):
        changes(store)
    meta = store / "zarr.json"
    whole = meta.read_text()
    for name in ("dataset", "records", "content_sha256", "leads", "version"):
        meta.write_text(whole.replace(f'"{name}"', f'"{name[:-1]}{chr(ord(name[-1]) ^ 8)}"', 1))
        with pytest.raises(StoreError):
            Store(store)
