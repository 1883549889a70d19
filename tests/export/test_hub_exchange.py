"""Models go to a hub and come from it only when asked, tested against a local stand-in for its address."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ecgkit
from ecgkit.errors import ConfigError, DownloadError
from tests.api.runs import make_run
from tests.export.hub_server import Hub, serve


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serve() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        yield found


def test_a_model_is_sent_and_loaded(hub: Hub, tmp_path: Path, ecgkit: Callable) -> None:
    """Exactly the three files are sent to a private repository; the loaded encoder gives the features of the run."""
    import ecgkit as library

    run = make_run(tmp_path / "run", "stmem")
    alone = ecgkit("export", run, "--hub", tmp_path / "alone")
    assert alone.code == 0, alone.err
    assert not hub.asked, "nothing is sent without being asked"
    done = ecgkit("export", run, "--hub", tmp_path / "model", "--push", "lab/stmem")
    assert done.code == 0, done.err
    assert f"sent to {hub.address}/lab/stmem" in done.out.replace("\n", "")
    assert set(hub.repos["lab/stmem"]) == {"config.json", "model.safetensors", "README.md"}
    assert hub.private["lab/stmem"]
    assert hub.repos["lab/stmem"]["model.safetensors"] == (tmp_path / "model" / "model.safetensors").read_bytes()
    loaded = library.load("hf://lab/stmem")
    signal = np.random.default_rng(0).normal(0, 0.1, (12, 5000)).cumsum(1) / 10
    mine = loaded(signal, 500, "12", "mV").pooled
    np.testing.assert_array_equal(mine, library.load(run)(signal, 500, "12", "mV").pooled)
    assert loaded.name == "lab/stmem"
    asked = len(hub.asked)
    library.load("hf://lab/stmem")
    assert not [line for line in hub.asked[asked:] if line.startswith("GET /lab")], "the files come from the cache"


def test_only_files_of_a_model_are_fetched(hub: Hub, tmp_path: Path) -> None:
    """A pickle beside the weights stays where it is."""
    ecgkit.export_encoder(make_run(tmp_path / "run", "stmem"), hub=tmp_path / "model")
    hub.repos["lab/m"] = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    hub.repos["lab/m"]["pytorch_model.bin"] = b"a pickle"
    ecgkit.load("hf://lab/m")
    assert not [line for line in hub.asked if "pytorch_model" in line]
    del hub.repos["lab/m"]["model.safetensors"]
    with pytest.raises(DownloadError, match=r"has no model\.safetensors"):
        ecgkit.load("hf://lab/m")


def test_mistakes_are_one_clear_line(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", "stmem")
    with pytest.raises(ConfigError, match="hf://ORG/NAME"):
        ecgkit.load("hf://stmem")
    with pytest.raises(DownloadError, match="cannot be downloaded"):
        ecgkit.load("hf://lab/none")
    with pytest.raises(ConfigError, match="without --hub"):
        ecgkit.export_encoder(run, onnx=tmp_path / "m.onnx", push="lab/stmem")
    with pytest.raises(ConfigError, match="--public without --push"):
        ecgkit.export_encoder(run, hub=tmp_path / "model", public=True)
    monkeypatch.setattr("ecgkit.download.hub.hub_endpoint", lambda: "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be sent to lab/stmem"):
        ecgkit.export_encoder(run, hub=tmp_path / "model", push="lab/stmem")
    assert (tmp_path / "model" / "model.safetensors").is_file(), "the folder is kept"


def test_commands_take_an_address(
    hub: Hub, tmp_path: Path, ecgkit: Callable, cohort_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`embed` and `probe` download a model that is named by its address; `predict` finds it again, or by --run."""
    import ecgkit as library

    run = make_run(tmp_path / "run", "merl")
    library.export_encoder(run, hub=tmp_path / "model")
    hub.repos["lab/stmem"] = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    monkeypatch.chdir(tmp_path)
    on_cpu, source = ("--data", cohort_store, "--device", "cpu"), "hf://lab/stmem"
    assert ecgkit("embed", run, *on_cpu, "--out", "own.npz").code == 0
    assert not hub.asked, "nothing is fetched without being asked"
    done = ecgkit("embed", source, *on_cpu, "--out", "theirs.npz")
    assert done.code == 0, done.err
    own, theirs = np.load("own.npz"), np.load("theirs.npz")
    np.testing.assert_array_equal(own["pooled"], theirs["pooled"])
    assert '"run": "lab/stmem"' in str(theirs["ecgkit"])
    done = ecgkit("probe", source, *on_cpu, "--task", "simulated")
    assert done.code == 0, done.err
    (result,) = (tmp_path / "runs" / "lab-stmem" / "probes").glob("*/row.json")
    assert not list((tmp_path / "cache").rglob("probes")), "the cache of the hub's library holds no results"
    assert ecgkit("predict", result.parent, *on_cpu, "--out", "a.csv").code == 0
    asked = len(hub.asked)
    assert ecgkit("predict", result.parent, *on_cpu, "--run", run, "--out", "b.csv").code == 2, "other weights file"
    assert len(hub.asked) == asked
    done = ecgkit("predict", result.parent, *on_cpu, "--run", source, "--out", "c.csv")
    assert done.code == 0, done.err
    assert Path("a.csv").read_bytes() == Path("c.csv").read_bytes()


def test_a_suite_and_a_table_take_an_address(
    hub: Hub, tmp_path: Path, ecgkit: Callable, cohort_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ecgkit as library

    library.export_encoder(make_run(tmp_path / "run", "merl"), hub=tmp_path / "model")
    hub.repos["lab/stmem"] = {file.name: file.read_bytes() for file in (tmp_path / "model").iterdir()}
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text(
        "runs: [hf://lab/stmem]\nheads: [linear]\n"
        f"tasks: [{{task: simulated, store: sim}}]\nstores: {{sim: {cohort_store}}}\n"
    )
    done = ecgkit("probe", "--suite", "one.yaml", "--device", "cpu")
    assert done.code == 0, done.err
    (made,) = Path("suites/one/rows").rglob("row.json")
    assert "lab/stmem" in made.read_text()
    done = ecgkit("probe", "--models", "hf://lab/stmem,random", "--data", cohort_store, "--task", "simulated")
    assert done.code == 0, done.err
    assert "lab/stmem" in done.out and "random" in done.out, done.out
