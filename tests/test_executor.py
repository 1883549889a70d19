"""Executors: the same calls wherever they run, and no more of them once asked to stop."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ecgkit.errors import ConfigError, RecordError, WorkerError
from ecgkit.executor import LATER, _check_cluster, lost_workers, open_executor
from tests.conftest import PROJECT


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let worker processes import this module, and let no later command tell of workers that died here."""
    monkeypatch.syspath_prepend(PROJECT)
    monkeypatch.setattr("ecgkit.executor._lost", [])


def square(n: int) -> int:
    return n * n


def fail(n: int) -> int:
    raise RecordError(f"{n} is odd", "even")


def test_calls_run_in_order_and_only_as_they_are_wanted() -> None:
    taken = []

    def items():
        for n in range(5):
            taken.append(n)
            yield n

    with open_executor() as executor:
        results = executor.run(square, items())
        assert (next(results), taken) == (0, [0])
        assert list(results) == [1, 4, 9, 16]


def test_what_runs_is_finished_and_nothing_else_is_begun() -> None:
    done: list[int] = []
    with open_executor() as executor:
        done += executor.run(square, range(9), lambda: len(done) > 9)
        assert len(done) == 9
        for result in executor.run(square, range(9), lambda: len(done) > 10):
            done.append(result)
        assert len(done) == 11


def test_an_error_of_a_call_is_the_callers() -> None:
    with open_executor() as executor, pytest.raises(RecordError, match="3 is odd; expected even"):
        list(executor.run(fail, [3]))


def test_two_ways_at_once_are_refused() -> None:
    with (
        pytest.raises(ConfigError, match="--workers 2 and --dask .* exclude each other"),
        open_executor(2, "tcp://x:1"),
    ):
        pass


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_first(folder: Path) -> int:
    """Die, unless another worker has died at this piece before; return how many have."""
    found = len(list(folder.glob("died*")))
    if not found:
        (folder / f"died-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return found


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_its_piece_is_done_again(tmp_path: Path) -> None:
    folders = [tmp_path / str(n) for n in range(3)]
    for folder in folders:
        folder.mkdir()
    before = lost_workers()
    with open_executor(2) as executor:
        assert list(executor.run(die_at_first, folders)) == [1, 1, 1]
        assert lost_workers() == before + 3
        assert sorted(executor.run(square, range(4))) == [0, 1, 4, 9]
    assert [len(list(folder.iterdir())) for folder in folders] == [1, 1, 1]


@pytest.mark.slow
def test_a_piece_that_kills_its_workers_is_one_clear_error_and_no_other_is_suspected() -> None:
    expected = r"a worker process was killed 3 times at the same piece of the work \(1\).*--workers"
    done = []
    with pytest.raises(WorkerError, match=expected), open_executor(2) as executor:
        for result in executor.run(die_at_one, range(5)):
            done.append(result)  # noqa: PERF402 - what came before the error is looked at
    assert set(done) <= {0, 2, 3, 4}
    assert done


def die_at_one(n: int) -> int:
    return die(n) or n if n == 1 else n


def test_items_that_come_later_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.executor.LOOK_EVERY", 0.01)
    with open_executor() as executor:
        assert list(executor.run(square, iter([2, LATER, LATER, 3]))) == [4, 9]


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_dies_is_replaced(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    folders = [tmp_path / str(n) for n in range(2)]
    for folder in folders:
        folder.mkdir()
    before = lost_workers()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        open_executor(dask=cluster.scheduler_address) as executor,
    ):
        assert list(executor.run(die_at_first, folders)) == [1, 1]
        assert lost_workers() > before
        with pytest.raises(WorkerError, match=r"3 times at the same piece of the work \(1\)"):
            list(executor.run(die_at_one, range(3)))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], int]]:
    """A function of a file that this process alone finds."""
    (tmp_path / "only_here.py").write_text("def same(n):\n    return n\n")
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        found = importlib.import_module("only_here").same
    yield found
    del sys.modules["only_here"]


CANNOT = r"a worker cannot load its work \(ModuleNotFoundError: No module named 'only_here'\).*same packages"


@pytest.mark.slow
def test_a_worker_that_cannot_load_its_work_says_why_at_once(elsewhere: Callable[[int], int]) -> None:
    before = lost_workers()
    with pytest.raises(WorkerError, match=CANNOT), open_executor(2, warm_up=partial(elsewhere, 1)) as executor:
        list(executor.run(elsewhere, range(5)))
    assert lost_workers() == before, "none has died"


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_cannot_load_its_work_says_why(elsewhere: Callable[[int], int]) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        open_executor(dask=cluster.scheduler_address) as executor,
    ):
        with pytest.raises(WorkerError, match=CANNOT):
            list(executor.run(elsewhere, [1]))
        assert list(executor.run(square, [3])) == [9], "the worker lives on"


def test_a_cluster_without_ecgkit_is_refused() -> None:
    class Client:
        def run(self, *_: object) -> dict[str, object]:
            return {"tcp://a:1": None, "tcp://b:2": object()}

    with pytest.raises(ConfigError, match=r"1 of 2 workers of --dask tcp://s:1 lack ecgkit.*tcp://a:1"):
        _check_cluster(Client(), "tcp://s:1")


def end(_: int) -> None:
    os._exit(3)


@pytest.mark.slow
def test_workers_that_end_by_themselves_were_not_killed() -> None:
    with (
        pytest.raises(WorkerError, match=r"ended by itself \(exit code 3\) 3 times .* \(7\)\. What it wrote"),
        open_executor(2) as executor,
    ):
        list(executor.run(end, [7]))


PARENT = """
import os, time
from calls import nap, pid_of
from ecgkit.executor import open_executor
from ecgkit.interrupt import safe_points

if __name__ == "__main__":
    with open_executor(2) as executor, safe_points() as stop:
        print(*executor.run(pid_of, [1]), flush=True)
        list(executor.run(nap, range(2), stop))
"""
CALLS = """
import os, time

def pid_of(n):
    return os.getpid()

def nap(n):
    time.sleep(60)
"""


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"  # dead, and nobody's child


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_soon_when_their_parent_is_killed_or_gets_ctrl_c(tmp_path: Path, number: int) -> None:
    (tmp_path / "calls.py").write_text(CALLS)
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, tmp_path / "parent.py"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as parent:
        assert parent.stdout and parent.stderr
        worker = int(parent.stdout.readline())
        time.sleep(0.3)  # so that it naps
        os.killpg(parent.pid, number) if number == signal.SIGINT else parent.kill()
        began = time.perf_counter()
        parent.wait(20)
        assert time.perf_counter() - began < 15  # the grace, and a second or two
        errors = parent.stderr.read()
    for _ in range(100):
        if gone(worker):
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker lives on")
    assert errors.count("\nKeyboardInterrupt") == (number == signal.SIGINT), "no worker complains of Ctrl-C"


def test_no_workers_is_one_clear_error() -> None:
    with pytest.raises(ConfigError, match="workers 0 must be at least 1"), open_executor(0):
        pass
