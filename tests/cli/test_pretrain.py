"""``ecgkit pretrain`` and ``ecgkit runs`` as a user types them: launched, stopped, gone on with, watched, estimated."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ecgkit.config import read_yaml
from tests.cli.test_commands import SMALL
from tests.conftest import PROJECT
from tests.training.standins import assert_equal

TINY = ["--method", "stmem", "--preset", "tiny", *SMALL]
ECGKIT = [sys.executable, "-P", "-m", "ecgkit"]


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ECGKIT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def stop_after_the_first_epoch(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("epoch"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    return "".join(lines) + out, err


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_two_processes_are_launched_stopped_and_gone_on_with(ecgkit, cohort_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [
        "pretrain",
        *TINY,
        "--data",
        cohort_store,
        "--out",
        run,
        "--epochs",
        40,
        "--processes",
        2,
        "--workers",
        0,
    ]
    with started(*command) as process:
        out, err = stop_after_the_first_epoch(process, signal.SIGUSR1)
    assert process.returncode == 130, err
    assert "batch 16 (= 2 processes x 1 parts x 8)" in out
    assert out.count("input:") == 1  # only one process speaks
    assert f"Go on with: ecgkit pretrain --resume {run}" in err
    assert list(tmp_path.iterdir()) == [tmp_path / "run.partial"]
    assert list((tmp_path / "run.partial" / "checkpoints").iterdir())
    [shown] = json.loads(ecgkit("runs", run, "--json").out)
    assert (shown["name"], shown["finished"], shown["epochs"]) == ("run.partial", False, 40)
    with started("pretrain", "--resume", run) as process:
        out, err = stop_after_the_first_epoch(process, signal.SIGINT)
    assert process.returncode == 130, err
    assert "continues from step" in out
    assert "2 processes" in out


@pytest.mark.slow
def test_ctrl_c_is_code_130_and_the_run_can_be_gone_on_with(ecgkit, cohort_store: Path, tmp_path: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    command = ["pretrain", *TINY, "--data", cohort_store, "--epochs", 3, "--workers", 0]
    with started(*command, "--out", run) as process:
        _, err = stop_after_the_first_epoch(process, signal.SIGINT)
    assert process.returncode == 130, err
    assert f"stopped: {run}" in err
    assert ecgkit("probe", run, "--data", cohort_store, "--task", "simulated").code == 2
    with one_thread():  # bit for bit holds for one number of threads
        resumed = ecgkit("pretrain", "--resume", run)
        assert resumed.code == 0, resumed.err
        assert ecgkit(*command, "--out", whole).code == 0
    assert_equal(run, whole)


def test_a_dry_run_trains_nothing(ecgkit, cohort_store: Path, tmp_path: Path) -> None:
    done = ecgkit("pretrain", *TINY, "--data", cohort_store, "--out", tmp_path / "run", "--epochs", 5, "--dry-run")
    assert done.code == 0, done.err
    assert "9,793 trained" in done.out
    assert "35 (7 per epoch)" in done.out
    assert "360 before any is dropped" in done.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_profile_a_probe_and_curves(ecgkit, cohort_store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = ecgkit(
        "pretrain",
        *TINY,
        "--data",
        cohort_store,
        "--out",
        run,
        "--epochs",
        2,
        "--profile",
        "--probe-task",
        "simulated",
        "--probe-every",
        2,
        "--log",
        "tensorboard",
        "--workers",
        0,
    )
    assert done.code == 0, done.err
    assert "probe AUROC" in done.out.splitlines()[-3]
    assert json.loads((run / "profile" / "trace.json").read_text())["traceEvents"]
    assert "addmm" in (run / "profile" / "table.txt").read_text()
    assert list((run / "tensorboard").glob("events*"))
    first, second = (json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines())
    assert "probe_macro_auroc" not in first
    assert 0 <= second["probe_macro_auroc"] <= 1
    assert {"data_wait", "mfu", "tokens_per_second", "peak_memory_gib"} <= second.keys()
    assert 0 < second["mfu"] < 1
    card = (run / "README.md").read_text()
    assert all(word in card for word in ("stmem (tiny)", "arXiv 2402.09450", "250 Hz", "Licence", "cohort.zarr"))
    details = read_yaml(run / "config.yaml")
    assert {"zarr", "safetensors", "git", "command"} <= details["environment"].keys()
    other = tmp_path / "other"
    shutil.copytree(run, other)
    compared = ecgkit("runs", run, other, "--out", tmp_path / "curves.png")
    assert compared.code == 0, compared.err
    assert compared.out.count("2 of 2") == 2
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len(json.loads(ecgkit("runs", run, "--json").out)[0]["metrics"]) == 2


@pytest.mark.slow
def test_the_torchrun_example_runs(cohort_store: Path, tmp_path: Path) -> None:
    folder = Path(sys.executable).parent
    done = subprocess.run(
        [
            PROJECT / "examples/torchrun/two-nodes.sh",
            *TINY,
            "--data",
            cohort_store,
            "--out",
            tmp_path / "run",
            "--epochs",
            "1",
            "--workers",
            "0",
            "--device",
            "cpu",
        ],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "GPUS": "2", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    assert (tmp_path / "run" / "model.safetensors").exists()


SRUN = """#!/usr/bin/env bash
# What srun would do for one task a process, on this machine.
shift
for task in 0 1; do
  SLURM_PROCID=$task SLURM_LOCALID=$task SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=localhost "$@" &
  tasks+=($!)
done
code=0
for task in "${tasks[@]}"; do wait "$task" || code=$?; done
exit $code
"""


@pytest.mark.slow
def test_the_slurm_example_runs_as_far_as_that_goes_without_slurm(cohort_store: Path, tmp_path: Path) -> None:
    stub = tmp_path / "bin"
    stub.mkdir()
    (stub / "srun").write_text(SRUN)
    (stub / "scontrol").write_text(f'#!/usr/bin/env bash\necho "$@" > {stub}/requeued\n')
    (stub / "ecgkit").write_text(f'#!/usr/bin/env bash\nexec {" ".join(ECGKIT)} "$@"\n')
    for file in stub.iterdir():
        file.chmod(0o755)
    script = (PROJECT / "examples/slurm/pretrain.sbatch").read_text()
    assert "#SBATCH --signal=USR1@120" in script
    command = ["bash", "-c", script, "pretrain.sbatch", *TINY, "--data", cohort_store, "--out", tmp_path / "run"]
    environment = {**os.environ, "PATH": f"{stub}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment |= {"SLURM_JOB_ID": str(os.getpid())}
    done = subprocess.run(
        [*map(str, command), "--epochs", "1"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    assert not (stub / "requeued").exists()
    (stub / "srun").write_text("#!/usr/bin/env bash\nexit 130\n")  # saved in time
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert (stub / "requeued").read_text() == f"requeue {os.getpid()}\n"


@pytest.mark.parametrize("script", sorted((PROJECT / "examples").rglob("*.s*")), ids=lambda p: p.name)
def test_example_scripts_are_sound(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK)
