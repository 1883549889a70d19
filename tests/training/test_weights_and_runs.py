"""Damaged weights and run folders are one clear error; what is recorded of a run is what happened."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from ecgkit_stmem.config import PRESETS
from torch import nn

import ecgkit
from ecgkit.config import read_yaml
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.results import row as results
from ecgkit.leads import STANDARD_LEADS
from ecgkit.plugins import host
from ecgkit.recording import Recording
from ecgkit.training import run as run_folder
from ecgkit.training.run import environment, open_run, pick_device, read_metrics, write_config
from ecgkit.training.weights import load_weights, read_foreign_weights, save_weights
from tests.conftest import synthetic_signal
from tests.store.test_store import make_store


def npz(path: Path) -> Path:
    np.savez_compressed(path, w=np.arange(1000.0))
    return path


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00"])
def test_a_damaged_archive_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.npz").write_bytes(content)
    with pytest.raises(RunError, match="cannot be read safely") as error:
        read_foreign_weights(tmp_path / "w.npz")
    assert "\n" not in str(error.value)


def test_flipped_bytes_in_an_archive_are_one_clear_error(tmp_path: Path) -> None:
    file = npz(tmp_path / "w.npz")
    content = bytearray(file.read_bytes())
    content[60:120] = bytes(60)
    file.write_bytes(content)
    with pytest.raises(RunError, match="cannot be read safely"):
        read_foreign_weights(file)


def test_an_archive_of_objects_or_of_one_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", w=np.zeros(2), o=np.array([{}], dtype=object))
    np.save(tmp_path / "array.npy", np.zeros(2))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    np.savez(tmp_path / "text.npz", note="text")
    for name, message in (("objects", "allow_pickle"), ("array", "cannot be read safely"), ("text", "no tensors")):
        with pytest.raises(RunError, match=message):
            read_foreign_weights(tmp_path / f"{name}.npz")


def test_tied_weights_are_saved_and_come_back(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    save_weights(tmp_path / "w.safetensors", module)
    state = load_weights(tmp_path / "w.safetensors")
    assert torch.equal(state["0.weight"], module[0].weight)
    assert torch.equal(state["1.weight"], module[0].weight)


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "cuda0", "", "cuda:99999"])
def test_a_wrong_device_is_one_clear_error(name: str) -> None:
    with pytest.raises(RunError, match=f"device '{name}'"):
        pick_device(name)


def test_devices_are_taken_as_far_as_torch_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    names = ("auto", "cpu", "cuda", "cuda:1")
    assert [str(pick_device(name)) for name in names] == ["cuda", "cpu", "cuda", "cuda:1"]
    with pytest.raises(RunError, match="N below 2"):
        pick_device("cuda:2")


def test_the_device_that_was_used_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_folder, "device_name", lambda device: f"a {device}")
    entry = host().get(MethodEntry, "stmem")
    write_config(tmp_path, entry, "tiny", PRESETS["tiny"], {}, torch.device("cpu"))
    assert read_yaml(tmp_path / "config.yaml")["environment"]["device"] == "a cpu"
    assert environment(torch.device("cuda"))["device"] == "a cuda"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("method: stmem\nconfig: null\n", "holds None"),
        ("method: stmem\nconfig: 5\n", "holds 5"),
        (f"method: stmem\nconfig: {'[' * 5000}\n", "cannot be read"),
    ],
    ids=["null", "number", "deep"],
)
def test_a_run_with_a_broken_config_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match=rf"config\.yaml {message}"):
        open_run(tmp_path)


@pytest.mark.parametrize("content", [b"junk", b"\xff\xfe\x00", b"[1]", b"5", pytest.param(b"[" * 100_000, id="deep")])
def test_broken_metrics_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=r"metrics\.jsonl"):
        read_metrics(tmp_path)


def strict(text: str) -> object:
    """Parse JSON as the standard has it, without NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


def test_inspecting_a_record_with_little_known_of_it(ecgkit, tmp_path: Path) -> None:
    store = make_store(tmp_path / "s.zarr", [Recording(synthetic_signal(5000), 500.0, STANDARD_LEADS)])
    table, meta = store.table.frame(), json.loads((store.path / "zarr.json").read_text())
    del meta["attributes"]["records_sha256"]  # a store of an earlier release, whose table is not compared
    (store.path / "zarr.json").write_text(json.dumps(meta))
    table.assign(age=np.nan, sex=np.nan, nested=[[np.nan]]).to_parquet(store.path / "records.parquet")
    shown = strict(ecgkit("inspect", store.path, "--record", "r0", "--json").out)
    assert isinstance(shown, dict)
    assert (shown["age"], shown["sex"], shown["nested"]) == (None, None, [None])
    for columns in (table, table.drop(columns="labels")):
        columns.to_parquet(store.path / "records.parquet")
        for options in ([], ["--json"], ["--out", tmp_path / "ecg.png"]):
            done = ecgkit("inspect", store.path, "--record", "r0", *options)
            assert done.code == 0, done.err


def test_results_are_found_above_and_in_hidden_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "load_row", lambda path: path)
    for folder in ("a", ".hidden/b", ".hidden/.staging"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "row.json").touch()
    monkeypatch.chdir(tmp_path / "a")

    def found(*paths: str) -> list[str]:
        rows = results.find_rows([Path(path) for path in paths])
        return [file.relative_to(tmp_path).as_posix() for file, _ in rows]

    assert found("..") == found(str(tmp_path)) == ["a/row.json"]
    assert found("../.hidden") == found("../.hidden/b/row.json") == [".hidden/b/row.json"]
    monkeypatch.chdir(tmp_path / ".hidden")
    assert found(".") == [".hidden/b/row.json"]


def test_the_commit_of_another_repository_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thesis holds a virtual environment with ecgkit in it; or the environment's packages are a repository."""
    for place in ("venv/lib/site-packages", "."):
        thesis = tmp_path / place.replace("/", "-").replace(".", "packages")
        package = thesis / place / "ecgkit"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (thesis / "thesis.tex").touch()
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        for command in (("init", "-q"), ("add", "thesis.tex"), (*who, "commit", "-qm", "a thesis")):
            subprocess.run(["git", *command], cwd=thesis, check=True)
        monkeypatch.setattr(ecgkit, "__file__", str(package / "__init__.py"))
        assert environment(torch.device("cpu"))["git"] == ""
    # A thesis that keeps its virtual environment under version control.
    subprocess.run(["git", "add", "-f", "venv"], cwd=tmp_path / "venv-lib-site-packages", check=True)
    inside = tmp_path / "venv-lib-site-packages" / "venv" / "lib" / "site-packages" / "ecgkit" / "__init__.py"
    with monkeypatch.context() as patch:
        patch.setattr(ecgkit, "__file__", str(inside))
        assert environment(torch.device("cpu"))["git"] == ""
    # The same place as a checkout of ecgkit.
    subprocess.run(["git", "add", "ecgkit"], cwd=thesis, check=True)
    assert environment(torch.device("cpu"))["git"].endswith("+")
