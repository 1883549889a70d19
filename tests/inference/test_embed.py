"""`ecgkit embed`: the features of `ecgkit.load` in four kinds of file, with the table of the records."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import zarr

import ecgkit
from ecgkit.errors import ConfigError, OutputError
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import open_reports

CLOSE = {"rtol": 0, "atol": 1e-6}


def read(path: Path, name: str, shape: list[int]) -> np.ndarray[Any, Any]:
    """A feature of all records, and nothing else, from any kind of file."""
    if path.suffix == ".parquet":
        return np.stack(pd.read_parquet(path)[name].to_numpy()).reshape(-1, *shape)
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file[name]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file[name][:]
    return zarr.open_group(path, mode="r")[name][:]


def ids(path: Path) -> list[str]:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return file["record_id"].tolist()
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return [text.decode() for text in file["record_id"]]
    return pd.read_parquet(path / "records.parquet" if path.suffix == ".zarr" else path)["record_id"].tolist()


@pytest.fixture(scope="module")
def expected(run: Path, few_store: Path) -> Any:
    return ecgkit.load(run).of_store(ecgkit.open_store(few_store))


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".h5", ".zarr"])
def test_features_are_those_of_load(
    suffix: str, run: Path, few_store: Path, expected: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ecgkit.inference.records.BLOCK", 20)  # three parts
    out = tmp_path / f"out{suffix}"
    features = ("pooled", "per_lead", "tokens")
    made = ecgkit.embed(run, data=few_store, out=out, features=features, device="cpu")
    assert (made.records, made.rejected) == (48, [])
    for name in (*features, "token_real", "present"):
        wanted = getattr(expected, name)
        found = read(out, name, list(wanted.shape[1:]))
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(
            found.astype(float), wanted.astype(float), rtol=0, atol=1e-3 if name == "tokens" else 1e-6
        )
    table = ecgkit.open_store(few_store).table
    assert ids(out) == table["record_id"].tolist()
    assert not list(tmp_path.glob("*.partial"))
    with pytest.raises(OutputError, match="already exists"):
        ecgkit.embed(run, data=few_store, out=out, device="cpu")
    ecgkit.embed(run, data=few_store, out=out, features="layers", device="cpu", overwrite=True)


def test_the_table_and_what_it_is_about(run: Path, few: Path, few_store: Path, expected: Any, tmp_path: Path) -> None:
    """Columns of the store with entities, none of them the report; files give the same columns and features."""
    with_entities = shutil.copytree(few_store, tmp_path / "e.zarr")
    extract_knowledge(open_reports(with_entities), LexiconBackend(), ExtractOptions(min_count=2))
    ecgkit.embed(run, data=with_entities, out=tmp_path / "s.parquet", device="cpu")
    frame, table = pd.read_parquet(tmp_path / "s.parquet"), ecgkit.open_store(with_entities).table
    assert "report" not in frame
    assert frame["age"].tolist() == table["age"].tolist()
    entities = [name for name in frame if name.startswith("entity_")]
    assert entities
    assert set(np.unique(frame[entities].dropna())) <= {0, 1, 2}
    about = json.loads(pq.read_schema(tmp_path / "s.parquet").metadata[b"ecgkit"])
    assert about["run"] == "stmem"
    assert about["features"]["pooled"] == [expected.pooled.shape[1]]
    ecgkit.embed(run, data=few, out=tmp_path / "f.npz", columns="age,sex,report", device="cpu", workers=2)
    with np.load(tmp_path / "f.npz") as file:
        np.testing.assert_allclose(file["pooled"], expected.pooled, **CLOSE)
        assert file["record_id"].tolist() == table["record_id"].tolist()
        assert [text.strip() for text in file["columns/report"]] == [
            str(text or "").strip() for text in table["report"]
        ]
        np.testing.assert_array_equal(file["columns/age"], table["age"].to_numpy(float))


def test_fewer_leads(run: Path, few_store: Path, tmp_path: Path) -> None:
    """The model is given only the named leads; the rows equal those of arrays of these leads."""
    made = ecgkit.embed(run, data=few_store, out=tmp_path / "l.npz", leads="II,V5", device="cpu")
    assert made.shapes["pooled"][0] == 48
    signal, fs, leads, unit = ecgkit.open_store(few_store)[0]
    rows = [leads.index("II"), leads.index("V5")]
    alone = ecgkit.load(run)(signal[rows], fs, ["II", "V5"], unit)
    with np.load(tmp_path / "l.npz") as file:
        np.testing.assert_allclose(file["pooled"][0], alone.pooled, rtol=0, atol=1e-5)
        assert file["present"][0].sum() == 2


def test_mistakes_are_one_line(run: Path, few_store: Path, tmp_path: Path, ecgkit: Callable) -> None:
    arguments = ("embed", run, "--data", few_store, "--device", "cpu", "--out")
    for more, says in (
        ((tmp_path / "x.csv",), "must end in .parquet or .npz"),
        ((tmp_path / "x.npz", "--features", "poled"), "Did you mean 'pooled'?"),
        ((tmp_path / "x.npz", "--features", "logits"), "gives no logits features"),
        ((tmp_path / "x.npz", "--columns", "ages"), "Did you mean 'age'?"),
        ((tmp_path / "x.npz", "--gpus", "1", "--device", "cpu"), "Give only one"),
    ):
        done = ecgkit(*arguments, *more)
        assert done.code == 2
        assert says in done.err
        assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(run: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("ecgkit.inference.records.BLOCK", 20)
    monkeypatch.chdir(few.parent)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        at = {"dask": cluster.scheduler_address}
        ecgkit.embed(run, data=few.name, out=tmp_path / "c.parquet", device="cpu", **at)
        with pytest.raises(ConfigError, match="--workers 2 together with --dask"):
            ecgkit.embed(run, data=few.name, out=tmp_path / "d.parquet", workers=2, **at)
    ecgkit.embed(run, data=few.name, out=tmp_path / "h.parquet", device="cpu")
    assert (tmp_path / "c.parquet").read_bytes() == (tmp_path / "h.parquet").read_bytes()
