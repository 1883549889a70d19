"""``ingest --overwrite`` makes the store anew, and loses nothing that only the old store held."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ecgkit.ingestion import ingest
from ecgkit.store.reader import Store
from tests.conftest import synthetic_signal, write_wfdb

ANSWER = "paid for"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of three records with a model's answers, verdicts, peaks and a view."""
    for n in range(3):
        write_wfdb(tmp_path / "src", f"r{n}", synthetic_signal(500, seed=n))
    path = tmp_path / "s.zarr"
    ingest(tmp_path / "src", path)
    for product in ("knowledge/audit-labels.csv", "beats/beats.json", "views/abc/signal.npy", "notes.txt"):
        (path / product).parent.mkdir(parents=True, exist_ok=True)
        (path / product).write_text(product)
    with closing(sqlite3.connect(path / "knowledge" / "cache.sqlite")) as answers, answers:
        answers.execute("CREATE TABLE answers (answer TEXT)")
        answers.execute("INSERT INTO answers VALUES (?)", (ANSWER,))
    return path


def answer_in(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "cache.sqlite")) as answers:
        return str(answers.execute("SELECT answer FROM answers").fetchone()[0])


def test_products_stay_in_a_store_whose_content_is_the_same(ecgkit, store: Path, tmp_path: Path) -> None:
    (store / "signal" / "c" / "0" / "0" / "0").write_bytes(b"damaged, as the remedy of every such error supposes")
    done = ecgkit("ingest", tmp_path / "src", "--out", store, "--overwrite")
    assert done.code == 0, done.err
    assert "the content is that of the replaced store, so its beats, knowledge, notes.txt, views stay" in done.out
    assert Store(store).verified(0, 3).shape[0] == 3
    assert (store / "knowledge" / "audit-labels.csv").read_text() and answer_in(store / "knowledge") == ANSWER
    assert (store / "views" / "abc" / "signal.npy").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.zarr", "src"]


def test_products_of_other_content_are_kept_beside_the_store_and_named(ecgkit, store: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        write_wfdb(tmp_path / "src", "r0", synthetic_signal(500, seed=10 + number))
        done = ecgkit("ingest", tmp_path / "src", "--out", store, "--overwrite")
        assert done.code == 0, done.err
        kept = tmp_path / f"s.zarr.kept-{number}"
        assert str(kept) in done.out
        assert answer_in(kept / "knowledge") == answer_in(store / "knowledge") == ANSWER, "answers belong to a text"
        assert not (store / "knowledge" / "audit-labels.csv").exists() and not (store / "beats").exists()
    first = tmp_path / "s.zarr.kept-1"
    assert sorted(path.name for path in first.iterdir()) == [".ecgkit", "beats", "knowledge", "notes.txt"]
    assert (first / "knowledge" / "audit-labels.csv").read_text() == "knowledge/audit-labels.csv"


def test_a_store_that_was_killed_between_its_two_renames_is_named(ecgkit, store: Path) -> None:
    store.rename(store.with_name(".s.zarr.replaced"))
    lost = ecgkit("inspect", store)
    assert lost.code == 2
    assert "was being replaced by 'ecgkit ingest --overwrite', which was killed" in lost.err
    assert ecgkit("ingest", store / "nothing", "--out", store, "--overwrite").code == 2
    assert ecgkit("inspect", store).code == 0, "the next ingest, even one that fails, brings the earlier store back"
