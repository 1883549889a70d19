"""The state of a folder, and the next command in each state."""

import json
from pathlib import Path

import ecgkit as library
from ecgkit.beats.find import find_beats
from ecgkit.store.reader import Store
from tests.workspace.places import here, make_run, make_store

__all__ = ["here"]


def test_each_state_names_the_next_command(here: Path) -> None:
    assert library.status().empty
    assert library.status().next == "ecgkit ingest FOLDER"
    store = make_store(here, "ä.zarr")
    assert library.status().next == "ecgkit beats 'ä.zarr'"
    find_beats(Store(store))
    assert library.status().next.startswith("ecgkit pretrain --method ")
    assert library.status().next.endswith(" --data 'ä.zarr'")
    make_run(here / "runs" / "a b", finished=False)
    found = library.status()
    assert found.next == found.unfinished[0].command == "ecgkit pretrain --resume 'runs/a b'"
    (here / "runs" / "a b.partial").rename(here / "runs" / "stopped")
    (here / "runs" / "stopped" / ".ecgkit").write_text("run\n")
    assert library.status().next == "ecgkit probe runs/stopped"
    row = {"run": "stopped", "task": "simulated", "head": "linear", "macro_auroc": 0.9}
    folder = here / "runs" / "stopped" / "probes" / "simulated"
    folder.mkdir(parents=True)
    (folder / "row.json").write_text(json.dumps(row))
    assert library.status().next == "ecgkit report"
    [result] = library.status().results
    assert (result.task, result.score, result.measure) == ("simulated", 0.9, "macro AUROC")


def test_what_a_store_holds(here: Path) -> None:
    make_store(here, "a.zarr")
    broken = make_store(here, "b.zarr")
    (broken / "records.parquet").write_bytes(b"nothing")
    found = library.status()
    [store] = found.stores
    assert (store.records, store.beats, store.entities, store.views) == (2, "", {}, 0)
    assert list(found.damaged) == ["b.zarr"]


def test_the_program_alone_shows_the_folder(here: Path, ecgkit) -> None:  # type: ignore[no-untyped-def]
    assert "Usage: ecgkit" in ecgkit().out
    make_store(here, "a.zarr")
    shown = ecgkit()
    assert shown.code == 0
    assert shown.out.splitlines()[1].startswith("store")
    assert shown.err == "next: ecgkit beats a.zarr\n"
    told = json.loads(ecgkit("status", "--json").out)
    assert told["stores"][0]["records"] == 2
    assert told["next"] == "ecgkit beats a.zarr"
    assert ecgkit("status", "absent").code == 2


def test_doctor_finds_what_is_missing(here: Path, ecgkit, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    told = json.loads(ecgkit("doctor", "--json").out)
    assert told["versions"]["ecgkit"] == library.__version__
    assert told["cores"] >= 1
    assert {extra["name"] for extra in told["extras"]} >= {"onnx", "text", "dask"}
    monkeypatch.setattr("ecgkit.workspace.doctor.EXTRAS", (("x", ("no_such_module",), "ingest of x"),))
    monkeypatch.setattr("ecgkit.workspace.doctor.NEEDED", ("no-such-library",))
    done = ecgkit("doctor")
    assert done.code == 3
    assert "missing no_such_module" in done.out
    assert "ecgkit-learn[x]" in done.out
    assert "not installed: no-such-library" in done.err


def test_the_extras_are_those_of_the_distribution() -> None:
    import tomllib

    from ecgkit.workspace.doctor import EXTRAS
    from tests.conftest import PROJECT

    parts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {name for name, *_ in EXTRAS} == set(parts) - {"docs", "test"}
