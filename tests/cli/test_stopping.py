"""Ctrl-C, sent to real processes: the answer, what is left, the command that goes on, and a second Ctrl-C."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ecgkit.interrupt import LIMIT
from tests.beats.synthetic import LEADS, ecg, every
from tests.cli.test_commands import SMALL
from tests.conftest import write_wfdb

ECGKIT = [sys.executable, "-P", "-m", "ecgkit"]
ANSWER = "stopping at the next safe point, in at most 10 s. Press Ctrl-C again to stop at once.\n"
PATIENCE = 240  # seconds until the work has begun, on a machine that does other things too


@dataclass
class Typed:
    """A command as a terminal starts it, with everything that it prints and when."""

    process: subprocess.Popen[str]
    lines: list[tuple[float, str]] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def press(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def said(self, text: str) -> float:
        return next(when for when, line in self.lines if text in line)


def typed(command: Sequence[object], ready: Callable[[Typed], bool], presses: int = 1) -> tuple[Typed, float, float]:
    """Start a command, press Ctrl-C when `ready`; return it with the seconds until the answer and until the end."""
    with subprocess.Popen(
        [*ECGKIT, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        run = Typed(process)
        reader = threading.Thread(target=run.read)
        reader.start()
        began = time.monotonic()
        while not ready(run):
            assert process.poll() is None, run.text
            assert time.monotonic() - began < PATIENCE, run.text
            time.sleep(0.02)
        pressed = time.monotonic()
        run.press()
        for _ in range(presses - 1):
            while ANSWER not in run.text:
                assert process.poll() is None, run.text
                assert time.monotonic() - began < PATIENCE, run.text
                time.sleep(0.02)
            pressed = time.monotonic()
            run.press()
        process.wait(60)
        ended = time.monotonic() - pressed
        reader.join(10)
    assert "Traceback" not in run.text
    assert process.returncode == 130, run.text
    return run, run.said("stopping at") - pressed, ended


@pytest.fixture(scope="module")
def long_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings that take a while each, as Holter recordings do."""
    folder = tmp_path_factory.mktemp("long") / "holter"
    signal = np.tile(ecg(every(0.8, 10), 10, 250, seed=1), (1, 120))
    for n in range(4):
        write_wfdb(folder, f"r{n}", signal, LEADS, fs=250)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_an_ingest_stops_and_the_named_command_goes_on(
    ecgkit, long_recordings: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "s.zarr"
    command = ["ingest", long_recordings, "--out", out, "--workers", workers]
    parts = tmp_path / "s.zarr.partial" / "parts"
    run, answered, ended = typed(command, lambda run: parts.is_dir())
    assert answered < 1
    assert ended < LIMIT + 1
    assert not out.exists()
    last = run.text.splitlines()[-1]
    assert last.startswith("stopped")
    assert last.endswith(f"Go on with: {shlex.join(['ecgkit', *map(str, command)])}")
    assert len(run.text.splitlines()) == 2, "the answer and the end, and nothing that contradicts them"
    assert ecgkit(*command).code == 0


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(ecgkit, long_recordings: Path, tmp_path: Path) -> None:
    command = ["ingest", long_recordings, "--out", tmp_path / "s.zarr"]
    parts = tmp_path / "s.zarr.partial" / "parts"
    run, _, ended = typed(command, lambda run: parts.is_dir(), presses=2)
    assert ended < 1
    assert "Go on with: ecgkit ingest" in run.text
    assert ecgkit(*command).code == 0


BIG = ["pretrain", "--method", "stmem", "--workers", 0, "--set", "recipe.batch_size=64"]


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_a_step_that_takes_minutes_is_not_waited_for(cohort_store: Path, tmp_path: Path, presses: int) -> None:
    command = [*BIG, "--data", cohort_store, "--out", tmp_path / "run"]
    run, answered, ended = typed(command, lambda run: "peak lr" in run.text, presses)
    assert answered < 1
    assert ended < (LIMIT + 1 if presses == 1 else 1)
    assert "Go on with: ecgkit pretrain" in run.text.splitlines()[-1]
    assert run.text.count("stopped") == 1


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_training_saves_and_names_the_command_that_continues(
    ecgkit, cohort_store: Path, tmp_path: Path, processes: int
) -> None:
    out = tmp_path / "run"
    command = ["pretrain", "--method", "stmem", "--preset", "tiny", *SMALL, "--data", cohort_store, "--out", out]
    command += ["--epochs", 300, "--workers", 0, *(["--processes", 2] if processes == 2 else [])]
    run, answered, _ = typed(command, lambda run: "epoch    2" in run.text)
    assert answered < 1
    last = run.text.splitlines()[-1]
    assert last.startswith(f"stopped: {out}.partial keeps the checkpoint of step ")
    assert last.endswith(f". Go on with: ecgkit pretrain --resume {out}")
    assert run.text.count("stopp") == 2, "the answer and the end, once each"


@pytest.mark.slow
def test_a_second_ctrl_c_ends_every_process_of_a_training(cohort_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["pretrain", "--method", "stmem", "--preset", "tiny", *SMALL, "--data", cohort_store, "--out", out]
    command += ["--epochs", 3000, "--workers", 0, "--processes", 2]
    typed(command, lambda run: "epoch    2" in run.text, presses=2)
    time.sleep(2)
    left = subprocess.run(["pgrep", "-f", str(out)], capture_output=True, text=True, check=False)
    assert not left.stdout.split(), "no process of the training is left"


@pytest.mark.slow
def test_work_without_safe_points_stops_where_it_is(cohort_store: Path, tmp_path: Path) -> None:
    store = shutil.copytree(cohort_store, tmp_path / "s.zarr", ignore=shutil.ignore_patterns("views"))
    command = ["probe", "--data", store, "--task", "simulated", "--method", "stmem", "--random-init"]
    command += ["--preset", "base", "--out", tmp_path / "probe"]
    views = store / "views"
    run, answered, ended = typed(command, lambda run: views.is_dir())
    assert answered < 1
    assert ended < LIMIT + 1
    assert "Go on with: ecgkit probe" in run.text.splitlines()[-1]
