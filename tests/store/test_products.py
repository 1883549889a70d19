"""A user who may not write to a store has R peaks, entities and views of it in a folder of the user's own."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ecgkit.beats.peaks import read_peaks
from ecgkit.knowledge.labels import read_labels
from ecgkit.store.products import found_folder, own_folder
from ecgkit.store.reader import Store


@pytest.fixture
def shared_store(cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store without products that this user may not write to, and an empty cache."""
    path = tmp_path / "shared" / "cohort.zarr"
    shutil.copytree(cohort_store, path, ignore=shutil.ignore_patterns("beats", "knowledge", "views", ".*.partial"))
    real = os.access

    def access(where: os.PathLike[str] | str, mode: int, **more: bool) -> bool:
        forbidden = mode & os.W_OK and Path(where).resolve().is_relative_to(path.parent)
        return not forbidden and real(where, mode, **more)

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setenv("ECGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ECGKIT_EXTRACT_KNOWLEDGE_RUN_MIN_COUNT", "1")
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_user_finds_beats_and_entities_of_a_shared_store(
    ecgkit, shared_store: Path, cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(shared_store)
    beats = ecgkit("beats", shared_store)
    entities = ecgkit("extract-knowledge", shared_store)
    for done in (beats, entities):
        assert done.code == 0, done.err
        assert "you may not write to cohort.zarr" in done.out and str(tmp_path / "cache") in done.out
    assert content(shared_store) == before
    store = Store(shared_store)
    assert len(read_peaks(store).samples) > 500
    assert read_labels(store).values.shape[0] == len(store)
    # Every reader finds them: inspect, status, and a training that needs both.
    monkeypatch.chdir(shared_store.parent)
    [row] = json.loads(ecgkit("status", "--json").out)["stores"]
    assert row["beats"] and row["entities"]["labels"] > 0
    for method in ("kmerl", "lamae"):
        words = ("--preset", "tiny", "--data", shared_store, "--out", tmp_path / method, "--dry-run")
        assert ecgkit("pretrain", "--method", method, *words).code == 0
    # A copy of the store elsewhere has the same content.
    shutil.copytree(shared_store, shared_store.parent / "copy.zarr")
    np_equal = read_peaks(Store(shared_store.parent / "copy.zarr")).samples == read_peaks(store).samples
    assert np_equal.all()


def test_the_products_of_the_owner_are_read_until_there_are_own_ones(
    ecgkit, shared_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(shared_store)
    place = (shared_store, store.content_hash, "beats")
    with monkeypatch.context() as owner:
        owner.setattr(os, "access", lambda *_, **__: True)
        assert ecgkit("beats", shared_store).code == 0
        assert own_folder(*place) == found_folder(*place) == shared_store / "beats"
    assert found_folder(*place) == shared_store / "beats" != own_folder(*place)
    kept = content(shared_store)
    assert ecgkit("beats", shared_store, "--fs", 250, "--overwrite").code == 0
    assert found_folder(*place) == own_folder(*place)
    assert read_peaks(store).attributes["fs"] == 250
    assert content(shared_store) == kept


def test_extractions_in_the_store_and_in_the_cache_vote_together(
    ecgkit, shared_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as owner:
        owner.setattr(os, "access", lambda *_, **__: True)
        assert ecgkit("extract-knowledge", shared_store, "--name", "theirs").code == 0
    assert ecgkit("extract-knowledge", shared_store, "--name", "mine").code == 0
    mine, theirs = (shared_store / "knowledge" / name for name in ("mine", "theirs"))
    assert theirs.is_dir() and not mine.exists()
    [cached] = (tmp_path / "cache" / "knowledge").glob("*/mine")
    monkeypatch.chdir(shared_store.parent)
    for number, voter in enumerate((mine, cached)):  # as a path of the store, and as the path that was printed
        done = ecgkit("extract-knowledge", "vote", voter, theirs, "--name", f"vote{number}", "--min-count", 1)
        assert done.code == 0, done.err
        assert read_labels(Store(shared_store), f"vote{number}").names == read_labels(theirs).names
    assert ecgkit("extract-knowledge", "compare", mine, theirs).code == 0
    monkeypatch.chdir(tmp_path)
    done = ecgkit("extract-knowledge", "vote", cached, theirs.with_name("no"), "--name", "other")
    assert done.code == 2 and "no entity labels" in done.err
