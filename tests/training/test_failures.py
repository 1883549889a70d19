"""What ends a training from outside is told in one line. What was saved stays, and nothing blocks the next call."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ecgkit.errors import DiskFullError, OutputError, RunError
from ecgkit.training import checkpoints as ckpt
from ecgkit.training import launch
from ecgkit.training.checkpoints import Checkpoint, Progress, latest_checkpoint, restore_best, save_checkpoint
from ecgkit.training.failures import cause_of, told_plainly
from ecgkit.training.launch import Failure, ProcessError
from ecgkit.training.unfinished import BEST, run_in_progress, unfinished


def save(folder: Path, step: int) -> Path:
    (folder / BEST).write_bytes(b"best")
    tensors = {name: {"a": torch.full((2,), float(step))} for name in ckpt.TENSORS}
    return save_checkpoint(folder, Checkpoint(Progress(step=step), 1, tensors), keep=2)


def damage(file: Path) -> None:
    with file.open("r+b") as stream:  # in place: other names of the same file would change with it
        stream.write(b"x")


def test_damage_to_one_file_costs_one_checkpoint(tmp_path: Path) -> None:
    first, second = save(tmp_path, 1), save(tmp_path, 2)
    damage(tmp_path / BEST)
    told: list[str] = []
    found = latest_checkpoint(tmp_path, told.append)
    assert found is not None and found.progress.step == 2 and not told
    restore_best(tmp_path, 2)
    assert (tmp_path / BEST).read_bytes() == b"best"
    damage(second / BEST)
    found = latest_checkpoint(tmp_path, told.append)
    assert found is not None and found.progress.step == 1 and len(told) == 1
    damage(first / "model.safetensors")
    with pytest.raises(RunError, match=r"every checkpoint of .* is damaged .*start again with --overwrite"):
        latest_checkpoint(tmp_path, told.append)


SETTINGS: dict[str, Any] = {"identity": "a", "store": "/s.zarr", "data": {"content of the store": "abc", "records": 7}}


def test_a_full_disk_before_the_first_checkpoint_blocks_nothing(tmp_path: Path) -> None:
    def full_while_saving() -> None:
        with run_in_progress(tmp_path / "r", SETTINGS, overwrite=False, resume=False) as folder:
            (folder / "checkpoints").mkdir()
            raise OSError(28, "No space left on device")

    with pytest.raises(DiskFullError, match=r"the disk is full and .*/r is not finished \(.* free in .*\)\. Free some"):
        full_while_saving()
    assert not unfinished(tmp_path / "r").exists()
    with (
        pytest.raises(
            RunError, match=r"the disk is full at step 12\. no checkpoint was written.*the same command again"
        ),
        told_plainly(tmp_path / "r", 1, lambda: 12),
    ):
        full_while_saving()
    with run_in_progress(tmp_path / "r", SETTINGS, overwrite=False, resume=False):
        pass


def test_data_that_changed_is_named(tmp_path: Path) -> None:
    begun = run_in_progress(tmp_path / "r", SETTINGS, overwrite=False, resume=False)
    with pytest.raises(KeyboardInterrupt), begun as folder:
        save(folder, 40)
        raise KeyboardInterrupt
    now = {**SETTINGS, "identity": "b", "data": {"content of the store": "def", "records": 7}}
    expected = r"has changed since the training began \(content of the store: abc then, def now\)\. Restore /s\.zarr"
    resumed = run_in_progress(tmp_path / "r", now, overwrite=False, resume=True)
    with pytest.raises(OutputError, match=expected), resumed:
        pass
    expected = rf"memory ran out at step 41\. .*keeps the checkpoint of step 40\. .*pretrain --resume {tmp_path}/r"
    with pytest.raises(RunError, match=expected), told_plainly(tmp_path / "r", 1, lambda: 41):
        raise MemoryError
    killed = ProcessError(Failure(1, -9), "R.partial keeps the checkpoint of step 40.")
    assert str(killed).startswith("process 1 of the training was killed (SIGKILL, perhaps because memory ran out). R.p")
    assert not killed.has_told and ProcessError(Failure(0, 2), "").has_told


def allocate(allocator: Any) -> BaseException:
    try:
        allocator(2**46)
    except BaseException as error:
        return error
    raise AssertionError("so much memory")


def test_the_libraries_words_for_what_comes_from_outside(tmp_path: Path) -> None:
    for allocator in (torch.empty, np.ones, bytearray):
        assert cause_of(allocate(allocator), 1) == "memory ran out"
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    assert "loads data was killed" in cause_of(killed, 1)
    lost = RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234")
    assert cause_of(lost, 2) == "another process of this training has ended" and not cause_of(lost, 1)
    assert not cause_of(RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 2)
    assert not cause_of(ValueError("a bug"), 2)


def test_a_process_whose_launcher_was_killed_ends_even_if_it_starts_late() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = "import time; from ecgkit.interrupt import end_with_parent; end_with_parent(); time.sleep(20)"
    environment = {**os.environ, "ECGKIT_LAUNCHED": str(gone.pid)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=15).returncode == 130


def test_a_rank_of_a_launcher_that_was_killed_ends_whatever_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher names itself to its ranks, and the program of each rank watches it."""
    named: list[str] = []
    monkeypatch.setattr(launch, "_run", lambda *_: named.append(os.environ["ECGKIT_LAUNCHED"]))
    launch.launch(2, ("pretrain",))
    assert named == [str(os.getpid())] and "ECGKIT_LAUNCHED" not in os.environ
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    code = "import time; from ecgkit import cli; cli._program = lambda: time.sleep(30); cli.main()"
    environment = {**os.environ, "ECGKIT_LAUNCHED": str(gone.pid)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=25).returncode == 130
