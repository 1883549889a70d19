"""A suite as a Slurm job array, with an ``sbatch`` that runs the tasks on this machine."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ecgkit.cli.slurm import worker_command
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.results.row import find_rows
from ecgkit.slurm import SlurmArray, read_settings
from tests.conftest import Outcome

SMALL = ("width=16", "depth=1", "heads=1", "head_width=16", "signal.eval_starts=[0.5]")
# Like Slurm: reads the array's range from the script, starts every task, and prints the job's number.
SBATCH = """#!/usr/bin/env bash
set -e
script="${@: -1}"
last=$(sed -n 's/^#SBATCH --array=1-//p' "$script")
for task in $(seq "$last"); do
  SLURM_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_PROCID=0 bash "$script" > "$(dirname "$script")/7-$task.log" 2>&1 &
done
wait
echo "7;cluster"
"""


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "sbatch"
    program.parent.mkdir()
    program.write_text(SBATCH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.fixture
def suite(tmp_path: Path, cohort_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = {"method": "stmem", "weights": "random-init", "preset": "tiny", "settings": list(SMALL)}
    values = {
        "runs": [model],
        "stores": {"cohort": str(cohort_store)},
        "tasks": [{"task": "simulated", "store": "cohort"}],
        "heads": ["linear", {"head": "knn", "settings": ["k=[5]"]}, {"head": "knn", "settings": ["k=[10]"]}],
    }
    path = tmp_path / "my suite.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.slow
def test_the_tasks_of_an_array_share_the_suite(
    suite: Path, sbatch: Path, tmp_path: Path, ecgkit: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECGKIT_PROBE_SLURM", "1")  # the tasks must not submit themselves
    given = ("--slurm", "--slurm-set", "partition=gpu", "--slurm-set=time=1:00", "--slurm-tasks", 2)
    done = ecgkit("probe", "--suite", suite, "--out", "r", "--device", "cpu", *given, "--json")
    logs = [(tmp_path / "r" / "slurm" / f"7-{task}.log").read_text() for task in (1, 2)]
    assert done.code == 0, (done.err, logs)
    assert json.loads(done.out) == {"job": "7", "tasks": 2, "pieces": 3, "script": "r/slurm/array.sh"}
    script = (tmp_path / "r" / "slurm" / "array.sh").read_text()
    assert "#SBATCH --partition=gpu\n#SBATCH --time=1:00\n" in script
    assert len(find_rows([tmp_path / "r"])) == 3
    assert all("3 results" in log for log in logs), "each task waits for the whole table"
    assert sum("from an earlier run" not in log for log in logs)
    assert not (tmp_path / "r" / "rows" / ".claims").exists()
    assert "squeue --job 7" in done.err


def test_without_sbatch_the_script_is_written(
    suite: Path, tmp_path: Path, ecgkit: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = ecgkit("probe", "--suite", suite, "--out", "r", "--slurm")
    assert done.code == 0, done.err
    assert "no sbatch on this machine" in done.out
    assert "sbatch r/slurm/array.sh" in done.err
    script = (tmp_path / "r" / "slurm" / "array.sh").read_text()
    assert "--array=1-3" in script
    assert f"probe --suite '{suite}' --out r --no-slurm" in script
    assert ecgkit("probe", "--suite", suite, "--slurm", "--slurm-set", "Time").code == 2
    assert ecgkit("probe", "--slurm").code == 2


def test_a_job_that_slurm_refuses_is_one_clear_error(sbatch: Path, tmp_path: Path) -> None:
    sbatch.write_text("#!/usr/bin/env bash\necho 'sbatch: error: invalid partition' >&2\nexit 1\n")
    with pytest.raises(EcgkitError, match="sbatch refuses .*array.sh: sbatch: error: invalid partition"):
        SlurmArray(["status"], tmp_path / "s", 2).submit()


def test_the_script_keeps_every_word_and_settings_replace_its_own(tmp_path: Path) -> None:
    array = SlurmArray(["x", "a b", "$(touch evil)", "it's"], tmp_path, 4, {"array": "1-9%3", "exclusive": ""})
    text = array.write().read_text()
    assert "--array=1-9%3" in text and "1-4" not in text
    assert "#SBATCH --exclusive\n" in text
    assert subprocess.run(["bash", "-n", array.script], check=False).returncode == 0
    assert "x 'a b' '$(touch evil)' 'it'\"'\"'s'\n" in text


@pytest.mark.parametrize("text", ["Time=1", "=x", "a b=1", "time=1\n#SBATCH --x", "--time=1"])
def test_settings_that_are_no_option_of_sbatch_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        read_settings([text])


def test_the_workers_get_the_command_without_slurm() -> None:
    words = ["probe", "--slurm", "--suite", "s", "--slurm-set", "time=1", "--slurm-tasks=3", "--jobs", "2"]
    assert worker_command(words) == ["probe", "--suite", "s", "--jobs", "2"]
