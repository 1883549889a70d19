"""Executors: the same calls wherever they run, and no more of them once asked to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecgkit.errors import ConfigError, RecordError
from ecgkit.executor import open_executor, stop_on_interrupt


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
    with pytest.raises(ConfigError, match="--workers 2 and --dask"), open_executor(2, "tcp://x:1"):
        pass


def test_the_first_ctrl_c_is_noted_and_the_second_one_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), stop_on_interrupt() as stopped:
        assert not stopped()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


ORPHANS = """
import os, sys, time
from ecgkit.executor import open_executor

if __name__ == "__main__":
    with open_executor(2) as executor:
        print(*executor.run(pid_of, [1]), flush=True)
        time.sleep(60)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text("import os\n\ndef pid_of(n):\n    return os.getpid()\n")
    script = ORPHANS.replace("import os, sys, time", "import os, time\nfrom calls import pid_of")
    (tmp_path / "parent.py").write_text(script)
    with subprocess.Popen([sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{worker}/stat").read_text().split(")")[1].split()[0] == "Z":  # dead, and nobody's child
            return
        time.sleep(0.1)
    pytest.fail("the worker lives on")
