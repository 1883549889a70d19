"""What a training reads from a store is made once, before its processes meet; `ecgkit prepare` does it alone."""

import shutil
from pathlib import Path

import pytest

import ecgkit
from ecgkit import executor
from ecgkit.choices import command_typed
from ecgkit.entries import MethodEntry
from ecgkit.errors import RunError, StoreError
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.groundwork import PATIENCE, Groundwork, lay_groundwork


@pytest.fixture
def store(cohort_store: Path, tmp_path: Path) -> Path:
    """A store of its own, without views, beats and entities."""
    kept = shutil.ignore_patterns("views", "beats", "knowledge")
    return Path(shutil.copytree(cohort_store, tmp_path / "own.zarr", ignore=kept))


def groundwork(store: Path, method: str, *, adds: bool = False) -> Groundwork:
    entry = host().get(MethodEntry, method)
    _, config = method_config(entry, "tiny")
    return Groundwork(entry, config, Store(store), adds)


def test_prepare_makes_what_is_missing_once(ecgkit, store: Path) -> None:
    done = ecgkit("prepare", store, "--for", "kmerl:tiny")
    assert done.code == 0, done.err
    assert "added    entities" in done.out
    assert "was there already" not in done.out
    again = ecgkit("prepare", store, "--for", "kmerl:tiny")
    assert "nothing was missing" in again.out and "was there already" in again.out
    asked = groundwork(store, "kmerl")
    assert asked.is_laid() and asked.missing() == ()


def test_every_number_of_processes_makes_the_same_view(store: Path) -> None:
    one = ecgkit.prepare(store, for_="stmem:tiny")
    before = {file.name: file.read_bytes() for file in one.view.iterdir() if file.suffix == ".npy"}
    shutil.rmtree(store / "views")
    two = ecgkit.prepare(store, for_="stmem:tiny", workers=2)
    assert {file.name: file.read_bytes() for file in two.view.iterdir() if file.suffix == ".npy"} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "missing --for; expected one of"),
        (("--for", "nobody"), "no method 'nobody'"),
        (("--for", "kmerl:huge"), "kmerl has no preset 'huge'"),
        (("--for", "kmerl", "--workers", "2", "--dask", "tcp://x:1"), "exclude each other"),
    ],
)
def test_wrong_arguments_are_one_line(ecgkit, store: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = ecgkit("prepare", store, *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert not (store / "views").exists()


def test_a_waiting_process_goes_on_when_the_first_is_done(store: Path, monkeypatch) -> None:
    asked, naps = groundwork(store, "stmem"), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            open_view(asked.store, asked.config.signal)

    monkeypatch.setattr("time.sleep", nap)
    asked.wait(nap)
    assert len(naps) == 3


def test_a_waiting_process_gives_up_where_nobody_works(store: Path) -> None:
    naps: list[float] = []
    with pytest.raises(RunError, match=r"ecgkit prepare .*own\.zarr --for stmem"):
        groundwork(store, "stmem").wait(naps.append)
    assert sum(naps) > PATIENCE


def test_a_waiting_process_refuses_what_nobody_adds(store: Path) -> None:
    with pytest.raises(StoreError, match="holds no entities"):
        groundwork(store, "kmerl").wait(lambda _: pytest.fail("it waited"))


def test_only_the_first_process_makes_the_view(store: Path, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    waited = []
    monkeypatch.setattr(Groundwork, "wait", lambda self: waited.append(self))
    lay_groundwork(groundwork(store, "stmem"), lambda *_: None)
    assert waited and not (store / "views").exists()
    monkeypatch.setenv("RANK", "0")
    lay_groundwork(groundwork(store, "stmem"), lambda *_: None)
    assert (store / "views").exists()


def test_processes_start_unasked_only_from_a_command_and_for_much_work(monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert executor.fitting_workers(1_000_000) == 1  # a script would be run again by every process
    with command_typed(["prepare"]):
        assert executor.fitting_workers(executor.RECORDS_PER_WORKER - 1) == 1
        assert executor.fitting_workers(3 * executor.RECORDS_PER_WORKER) == 3
        assert executor.fitting_workers(1_000_000) == 8
