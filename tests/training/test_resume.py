"""A training that was killed, stopped or requeued goes on as if nothing had happened."""

import errno
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ecgkit.config import read_yaml
from ecgkit.errors import OutputError, RunError
from ecgkit.training import checkpoints
from ecgkit.training.loop import Watcher
from ecgkit.training.run import open_run
from ecgkit.training.unfinished import read_resume, run_in_progress
from ecgkit.training.weights import load_weights
from tests.processes import run_in_processes
from tests.training.standins import PairConfig, assert_equal, train, train_one, unfinished

NOISY = PairConfig(noise=0.3)  # random numbers in every step, so that a lost random state would show
STEPS = 7  # an epoch of the cohort


@pytest.fixture(scope="module")
def undisturbed(cohort_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    train(cohort_store, run, config=NOISY)
    return run


def killed(store: Path, out: Path, step: int, **options: object) -> None:
    run_in_processes(1, train_one, store, out, "Pairs", NOISY, {"save_minutes": 0, **options}, step, killed=True)
    assert not out.exists()
    assert unfinished(out).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(("step", "workers"), [(3, 0), (STEPS + 4, 1)])
def test_killed_and_resumed_is_undisturbed_to_the_bit(
    cohort_store: Path, undisturbed: Path, tmp_path: Path, step: int, workers: int
) -> None:
    out = tmp_path / "run"
    killed(cohort_store, out, step, workers=workers)
    with pytest.raises(RunError, match=r"not finished.*pretrain --resume"):
        open_run(out)
    with pytest.raises(OutputError, match="unfinished run.*--resume"):
        train(cohort_store, out, config=NOISY)
    resumed = []
    train(cohort_store, out, config=NOISY, resume=True, watcher=Watcher(resume=resumed.append))
    assert resumed == [step]
    assert_equal(out, undisturbed)
    assert read_yaml(out / "config.yaml")["config"]["noise"] == NOISY.noise
    assert {p.name for p in out.iterdir()} == {p.name for p in undisturbed.iterdir()}
    assert not unfinished(out).exists()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_killed_and_resumed_are_undisturbed_to_the_bit(
    cohort_store: Path, tmp_path: Path, processes: int
) -> None:
    run_in_processes(processes, train_one, cohort_store, tmp_path / "a", "Pairs", NOISY, {"workers": 0}, None)
    out, options = tmp_path / "b", {"workers": 0, "save_minutes": 0}
    run_in_processes(
        processes, train_one, cohort_store, out, "Pairs", NOISY, options, STEPS + 3, killed=True, timeout=60
    )
    run_in_processes(processes, train_one, cohort_store, out, "Pairs", NOISY, {**options, "resume": True}, None)
    assert_equal(tmp_path / "a", out)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    cohort_store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed(cohort_store, out, 5)
    kept = sorted((unfinished(out) / "checkpoints").iterdir())
    assert [path.name for path in kept] == ["step-00000004", "step-00000005"]
    weights = kept[-1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-20])
    warned, resumed = [], []
    train(cohort_store, out, config=NOISY, resume=True, watcher=Watcher(warn=warned.append, resume=resumed.append))
    assert "step-00000005 is damaged" in warned[0]
    assert resumed == [4]
    assert_equal(out, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (MemoryError(), "memory ran out at step 5"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full at step 5"),
    ],
)
def test_what_ends_a_training_from_outside_is_one_line_and_the_command_that_it_names_goes_on(
    cohort_store: Path, undisturbed: Path, tmp_path: Path, monkeypatch, cause: Exception, words: str
) -> None:
    out, saved = tmp_path / "run", []

    def save(path: Path, tensors: object, real=checkpoints.save_tensors) -> None:
        if "step-00000005" in str(path):
            raise cause
        saved.append(path)
        real(path, tensors)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_tensors", save)
        expected = rf"^{words}\. .*keeps the checkpoint of step 4\..* Go on with: ecgkit pretrain --resume {out}$"
        with pytest.raises(RunError, match=expected):
            train(cohort_store, out, config=NOISY, save_minutes=0)
    assert saved
    train(cohort_store, out, config=NOISY, resume=True)
    assert_equal(out, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signals_save_and_stop(cohort_store: Path, undisturbed: Path, tmp_path: Path, number: int, monkeypatch) -> None:
    out = tmp_path / "run"
    stop = Watcher(step=lambda done, total: os.kill(os.getpid(), number) if done == 4 else None)
    with pytest.raises(KeyboardInterrupt):
        train(cohort_store, out, config=NOISY, watcher=stop)
    assert read_resume(out)["store"] == str(cohort_store.resolve())
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    # What Slurm sets when it starts a job again: the same call goes on.
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    train(cohort_store, out, config=NOISY)
    assert_equal(out, undisturbed)


@pytest.mark.slow
def test_other_settings_do_not_go_on_and_overwrite_begins_anew(
    cohort_store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    killed(cohort_store, out, 2)
    with pytest.raises(OutputError, match="other settings"):
        train(cohort_store, out, config=NOISY, resume=True, seed=1)
    train(cohort_store, out, config=NOISY, overwrite=True)
    assert_equal(out, undisturbed)


def test_a_resumed_training_with_other_settings_throws_nothing_away_even_if_it_replaces_a_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with suppress(KeyboardInterrupt), run_in_progress(out, {"identity": "x"}, overwrite=True, resume=False) as folder:
        (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
        raise KeyboardInterrupt
    with (
        pytest.raises(OutputError, match="other settings"),
        run_in_progress(out, {"identity": "y"}, overwrite=True, resume=True),
    ):
        pass
    assert (folder / "checkpoints" / "step-00000001").exists()


def test_a_damaged_name_in_the_settings_of_a_run_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "run.partial"
    folder.mkdir()
    (folder / ".ecgkit").write_text("unfinished run\n")
    (folder / "resume.yaml").write_text("store: s.zarr\ntask: ''\nopxions: {}\n")
    with pytest.raises(RunError, match=r"resume\.yaml is damaged: it has no options"):
        read_resume(tmp_path / "run")


def test_an_unfinished_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with run_in_progress(out, {"identity": "x"}, overwrite=False, resume=False) as folder:
        (folder / "checkpoints").mkdir()
        [(kind, message)] = run_in_processes(1, try_to_take, out)
    assert kind == "LockedError"
    assert "run is being made by another process (process " in message


def try_to_take(rank: int, out: Path) -> tuple[str, str]:
    try:
        with run_in_progress(out, {"identity": "x"}, overwrite=False, resume=True):
            return "", ""
    except OutputError as error:
        return type(error).__name__, str(error)


@pytest.mark.slow
def test_another_number_of_processes_goes_on_with_a_warning(cohort_store: Path, tmp_path: Path) -> None:
    out, options = tmp_path / "run", {"workers": 0, "save_minutes": 0}
    run_in_processes(2, train_one, cohort_store, out, "Plain", PairConfig(), options, 4, killed=True, timeout=30)
    warned: list[str] = []
    train(cohort_store, out, "Plain", resume=True, watcher=Watcher(warn=warned.append))
    assert "2 processes" in warned[0]
    train(cohort_store, tmp_path / "alone", "Plain")
    assert_equal(tmp_path / "alone", out, 1e-5)  # this method draws nothing at random


@pytest.mark.slow
def test_the_best_weights_of_a_later_time_are_not_kept(cohort_store: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    config = replace(NOISY, recipe=replace(NOISY.recipe, checkpoint="best"))
    killed(cohort_store, out, STEPS + 2)
    folder = unfinished(out)
    assert (folder / "best.safetensors").exists()
    (folder / "best.safetensors").unlink()
    shutil.copy(sorted((folder / "checkpoints").iterdir())[-1] / "rng.safetensors", folder / "best.safetensors")
    train(cohort_store, out, config=config, resume=True)
    assert "encoder.first.weight" in load_weights(out / "model.safetensors")


def test_no_checkpoint_survives_a_power_cut_that_the_runs_settings_do_not(
    cohort_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, real, save = set[int](), os.fsync, checkpoints.save_checkpoint
    asked = []

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        real(descriptor)

    def saving(folder: Path, *given: object, **options: object) -> object:
        for name in ("config.yaml", "resume.yaml", "plan.json", "records.parquet", "signatures.parquet"):
            asked.append(name)
            assert (folder / name).stat().st_ino in synced, name
        return save(folder, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(checkpoints, "save_checkpoint", saving)
    train(cohort_store, tmp_path / "run", save_minutes=0)
    assert asked
    (tmp_path / "run" / "lock").touch()  # of a process that was killed at its very last step
    with pytest.raises(OutputError, match="already exists"):
        train(cohort_store, tmp_path / "run")
    assert not (tmp_path / "run" / "lock").exists()
