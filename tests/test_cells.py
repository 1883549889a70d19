"""Cells: each is done once by whoever takes it, and again by another when its worker dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ecgkit import cells
from ecgkit.cells import Cell, Claims, do_cells
from ecgkit.errors import OutputError
from ecgkit.executor import open_executor
from tests.conftest import PROJECT


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import this module, and let no later command tell of workers that died here."""
    monkeypatch.syspath_prepend(PROJECT)
    monkeypatch.setattr("ecgkit.executor._lost", [])


FOREIGN = json.dumps(["another machine", 1, "1", "far", "2026-01-01"])


def write_once(out: Path) -> dict[str, str]:
    """Do a cell: fail if it was done before."""
    with out.open("x") as file:
        file.write(str(os.getpid()))
    return {}


def refuse(out: Path) -> dict[str, str]:
    out.with_suffix(f".tried-{time.monotonic_ns()}").touch()
    return {out.name: "it cannot be done"}


def die(out: Path) -> dict[str, str]:
    with out.with_suffix(".tried").open("a") as file:
        file.write(".")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def grid(folder: Path, count: int) -> list[Cell[Path]]:
    return [Cell(f"cell-{n}", folder / f"out{n}") for n in range(count)]


def run(folder: Path, work=write_once, count: int = 3, workers: int = 1) -> dict[str, str]:
    with open_executor(workers) as executor:
        return do_cells(folder / "claims", grid(folder, count), work, Path.exists, executor)


def test_all_cells_are_done_and_nothing_else_is_left(tmp_path: Path) -> None:
    assert run(tmp_path) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out0", "out1", "out2"]
    assert run(tmp_path) == {}, "what is done is not done again"


WORKER = """
import sys, time
from pathlib import Path
from ecgkit.cells import do_cells
from ecgkit.executor import open_executor
from tests.test_cells import grid, write_once

def work(out):
    time.sleep(0.02)
    return write_once(out)

with open_executor() as executor:
    print(do_cells(Path(sys.argv[1]) / "claims", grid(Path(sys.argv[1]), 30), work, Path.exists, executor))
"""


def test_a_worker_that_waits_for_others_says_for_how_many_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(Claims.__init__, "__defaults__", (cells.BEAT, 0.2))
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "cell-1.1").write_text("")  # what a power cut may leave of a claim
    held: list[int] = []
    with open_executor() as executor:
        assert (
            do_cells(tmp_path / "claims", grid(tmp_path, 3), write_once, Path.exists, executor, waiting=held.append)
            == {}
        )
    assert set(held) == {1} and len(list(tmp_path.glob("out*"))) == 3
    assert run(tmp_path) == {} and set(held) == {1}, "nobody waits for what is done"


@pytest.mark.slow
def test_workers_that_share_a_folder_do_each_cell_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [worker.communicate(timeout=60)[0] for worker in workers] == ["{}\n"] * 3, "a second time would fail"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"out{n}" for n in range(30))


def ended_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_the_cell_of_a_worker_that_died_is_taken_over_at_once(tmp_path: Path) -> None:
    claims = tmp_path / "claims"
    claims.mkdir()
    (claims / "cell-1.1").write_text(json.dumps([cells._machine(), ended_process(), "1"]))
    # A process that lives, but has started at another time: the number was given away again.
    (claims / "cell-2.1").write_text(json.dumps([cells._machine(), os.getpid(), "1"]))
    assert run(tmp_path) == {}
    assert len(list(tmp_path.glob("out*"))) == 3
    assert not claims.exists()


def test_the_claim_of_a_worker_that_died_after_its_cell_was_done_is_removed(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "claims").mkdir()
    claim = tmp_path / "claims" / "cell-1.1"
    claim.write_text(json.dumps([cells._machine(), ended_process(), "1"]))
    assert run(tmp_path) == {}
    assert not claim.exists() and not claim.parent.exists()


def test_a_living_claim_is_respected_until_it_falls_silent(tmp_path: Path) -> None:
    theirs = tmp_path / "a.1"
    theirs.write_text(FOREIGN)
    claims = Claims(tmp_path, beat=0.01, silence=0.3)
    assert not claims.is_dead("a", 1), "nobody knows yet how long it has been silent"
    time.sleep(0.2)
    theirs.write_text(f"{FOREIGN}\n.")
    assert not claims.is_dead("a", 1)
    time.sleep(0.2)
    assert not claims.is_dead("a", 1), "it gave a sign of life"
    time.sleep(0.2)
    assert claims.is_dead("a", 1)
    assert claims.take("a", 2)
    assert not Claims(tmp_path).take("a", 2), "one worker takes it over"
    claims.release("a")
    assert not list(tmp_path.iterdir())


def test_the_holder_gives_signs_of_life_and_a_removed_claim_stays_removed(tmp_path: Path) -> None:
    with Claims(tmp_path / "c", beat=0.02) as claims:
        assert claims.take("a", 1)
        assert claims.take("b", 1)
        (tmp_path / "c" / "b.1").unlink()
        before = (tmp_path / "c" / "a.1").stat().st_mtime_ns
        time.sleep(0.2)
        assert (tmp_path / "c" / "a.1").stat().st_mtime_ns > before
        assert not (tmp_path / "c" / "b.1").exists()
    assert not (tmp_path / "c").exists()


def test_a_failure_is_told_to_the_others_and_tried_again_by_the_next_call(tmp_path: Path) -> None:
    def tried() -> int:
        return len(list(tmp_path.glob("out0.tried*")))

    assert run(tmp_path, refuse, 1) == {"out0": "it cannot be done"}
    assert tried() == 1
    assert run(tmp_path, refuse, 1) == {"out0": "it cannot be done"}
    assert tried() == 2
    claims = Claims(tmp_path / "claims")
    shared = cells._Shared(claims, grid(tmp_path, 1), Path.exists, lambda: None)
    claims.tell("cell-0", {"out0": "another worker failed too"})
    assert list(shared.free()) == []
    assert shared.problems == {"out0": "another worker failed too"}
    assert run(tmp_path, count=1) == {}
    assert not (tmp_path / "claims").exists()


def test_a_failure_after_the_output_had_appeared_is_forgotten_by_the_next_call(tmp_path: Path) -> None:
    def late(out: Path) -> dict[str, str]:
        write_once(out)
        return {out.name: "its folder could not be synced"}

    assert run(tmp_path, late, 1) == {"out0": "its folder could not be synced"}
    assert run(tmp_path, late, 1) == {}
    assert not (tmp_path / "claims").exists()


def test_what_another_worker_does_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LOOK_EVERY", 0.05)
    monkeypatch.setattr("ecgkit.executor.LOOK_EVERY", 0.05)
    (tmp_path / "claims").mkdir()
    holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.0)"])
    (tmp_path / "claims" / "cell-0.1").write_text(json.dumps([cells._machine(), holder.pid, cells._start(holder.pid)]))
    began = time.monotonic()
    threading.Thread(target=holder.wait).start()  # somebody has to take note that it ended
    assert run(tmp_path, count=2) == {}
    assert time.monotonic() - began > 0.5
    assert (tmp_path / "out0").exists()


@pytest.mark.slow
def test_a_cell_that_kills_its_workers_fails_and_the_others_are_done(tmp_path: Path) -> None:
    (found,) = run(tmp_path, die, 1, workers=2).values()
    assert "killed 3 times at the same piece of the work (cell-0)" in found
    assert (tmp_path / "out0.tried").read_text() == "..."


def test_a_cell_whose_workers_died_one_after_the_other_is_given_up(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims")
    shared = cells._Shared(claims, grid(tmp_path, 1), Path.exists, lambda: None)
    for number in (1, 2, 3):
        assert claims.take("cell-0", number)
        claims._held.clear()
        owner = [cells._machine(), ended_process(), "1"]
        (tmp_path / "claims" / f"cell-0.{number}").write_text(json.dumps(owner))
    assert list(shared.free()) == []
    assert shared.problems == {"cell-0": "3 workers died one after the other at it"}
    assert run(tmp_path, count=1) == {}, "a later call tries again"


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        run(tmp_path)
