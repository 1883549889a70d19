"""Training from Python: the arguments of the command, a run that is continued, and what starts other processes."""

import inspect
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import ecgkit
from ecgkit.api.training import command_line, split_settings
from ecgkit.cli import build_app
from ecgkit.errors import ConfigError, RunError, StoreError
from ecgkit.training.options import Watcher
from ecgkit.training.run import read_metrics

TINY: dict[str, Any] = {
    "method": "stmem",
    "preset": "tiny",
    "settings": {"recipe.batch_size": 16},
    "workers": 0,
    "device": "cpu",
}


@pytest.mark.slow
def test_a_training_that_was_stopped_is_continued(cohort_store: Path, tmp_path: Path) -> None:
    def stop(metrics: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    run, lines = tmp_path / "run", list[dict[str, Any]]()
    with pytest.raises(KeyboardInterrupt):
        ecgkit.pretrain(
            **TINY, data=cohort_store, out=run, epochs=2, save_minutes=0, watcher=Watcher(epoch=stop)
        )  # stops after the first epoch
    assert not run.exists()
    done = ecgkit.resume_pretraining(run, watcher=Watcher(epoch=lines.append))
    assert done.run == run
    assert [line["epoch"] for line in done.metrics] == [1, 2]
    assert done.best == min(done.metrics, key=lambda line: line["val_loss"])
    assert lines[-1]["epoch"] == 2
    assert ecgkit.load(done.run).width > 0


@pytest.mark.slow
def test_a_training_that_replaces_a_run_is_continued_too(cohort_store: Path, tmp_path: Path) -> None:
    def stop(metrics: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    earlier = ecgkit.pretrain(**TINY, data=cohort_store, out=run, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        ecgkit.pretrain(
            **TINY, data=cohort_store, out=run, epochs=2, save_minutes=0, overwrite=True, watcher=Watcher(epoch=stop)
        )
    assert read_metrics(run) == earlier.metrics, "the earlier run stays until the new one is whole"
    done = ecgkit.resume_pretraining(run)
    assert [line["epoch"] for line in done.metrics] == [1, 2]
    assert not list(tmp_path.glob("*.partial")) and not list(tmp_path.glob(".*"))


def test_an_estimate_trains_nothing(cohort_store: Path, tmp_path: Path) -> None:
    asked = {name: value for name, value in TINY.items() if name != "workers"}
    found = ecgkit.estimate_pretraining(**asked, data=str(cohort_store), epochs=3)
    assert found.steps == 3 * found.beginning.steps
    assert found.seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_gpus_and_processes_exclude_each_other(cohort_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--gpus 1 together with --processes 2"):
        ecgkit.pretrain(**TINY, data=cohort_store, out=tmp_path / "run", gpus=1, processes=2)


def test_the_command_of_other_processes_says_the_same() -> None:
    """Every argument of the function reaches the processes that it starts, by the command's own parser."""
    other: dict[str, Any] = {
        "method": "stmem",
        "data": "a b.zarr",
        "out": "run",
        "preset": "tiny",
        "task": "my.yaml",
        "task_settings": {"icd10.count_on": "train"},
        "epochs": 3,
        "accumulate": 2,
        "config": "c.yaml",
        "settings": {"depth": 4, "signal": {"fs": 100}},
        "seed": 7,
        "gpus": 0,
        "processes": 2,
        "shard": True,
        "recompute": True,
        "bucket_mb": 10.0,
        "device": "cpu",
        "compile": False,
        "workers": 0,
        "save_minutes": 0.5,
        "keep": 1,
        "probe_task": "simulated",
        "probe_data": "p.zarr",
        "probe_every": 2,
        "all_folds": True,
        "subset": 50,
        "log": ["tensorboard", "mlflow"],
        "profile": True,
        "view_on_device": False,
        "stream": True,
        "scratch": "fast disk",
        "prepare": True,
        "overwrite": True,
    }
    assert set(other) == set(inspect.signature(ecgkit.pretrain).parameters) - {"watcher"}
    program: Any = typer.main.get_command(build_app())
    name, *line = command_line(other, ecgkit.pretrain)
    parsed = program.commands[name].make_context(name, line).params
    assert list(parsed.pop("settings")) == ["depth=4", 'signal={"fs": 100}']
    assert list(parsed.pop("task_settings")) == ['icd10.count_on="train"']
    del other["settings"], other["task_settings"]
    assert {name: str(parsed[name]) for name in other} == {name: str(value) for name, value in other.items()}


def test_fewer_gpus_than_wanted_name_the_command_for_this_machine(
    cohort_store: Path, tmp_path: Path, monkeypatch
) -> None:
    asked: dict[str, Any] = {"method": "stmem", "data": cohort_store, "out": tmp_path / "run", "preset": "tiny"}
    with pytest.raises(RunError) as none:
        ecgkit.pretrain(**asked, gpus=4)
    line = f"ecgkit pretrain --method stmem --data {cohort_store} --out {tmp_path / 'run'} --preset tiny"
    cores = min(4, len(os.sched_getaffinity(0)))
    assert str(none.value) == (
        f"--gpus 4: torch sees 0 GPUs on this machine. Train on the CPU: {line} "
        + (f"--processes {cores}" if cores > 1 else "--device cpu")
    )
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(RunError, match=r"torch sees 2 GPUs.*on fewer GPUs: .* --gpus 2, or on the CPU: "):
        ecgkit.pretrain(**asked, gpus=4)


def test_four_gpus_train_in_four_processes(cohort_store: Path, tmp_path: Path, monkeypatch) -> None:
    launched: list[Any] = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("ecgkit.api.training.launch", lambda *call: launched.append(call) or 0)
    ecgkit.pretrain(method="stmem", data=cohort_store, out=tmp_path / "run", gpus=4)
    [(processes, command)] = launched
    assert processes == 4
    assert command[-2:] == ["--gpus", "4"]


def test_what_is_missing_is_named_with_the_store_or_added(cohort_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "my store.zarr"
    shutil.copytree(cohort_store, store, ignore=shutil.ignore_patterns("knowledge", "beats"))
    asked: dict[str, Any] = {"method": "clear", "data": store, "preset": "tiny", "epochs": 1, "workers": 0}
    with pytest.raises(StoreError, match=r"holds no beats.*with: ecgkit beats '.*my store.zarr' \(or train with --pre"):
        ecgkit.pretrain(**asked, out=tmp_path / "run")
    with pytest.raises(StoreError, match=r"ecgkit extract-knowledge '.*my store.zarr'"):
        ecgkit.pretrain(**{**asked, "method": "kmerl"}, out=tmp_path / "run")
    stages: list[str] = []
    watcher = Watcher(prepare=lambda stage, done, total: stages.append(stage))
    ecgkit.pretrain(**asked, out=tmp_path / "run", prepare=True, watcher=watcher)
    assert list(dict.fromkeys(stages)) == ["beats", "view"]
    details = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert details["origins"]["beats"].startswith("found by the detector ")
    assert details["patients"]["train"] > 10


def test_settings_of_a_task_go_to_the_labels_or_to_the_online_probe() -> None:
    given = {"entities.name": "model"}
    assert split_settings(given, "entities", "csn") == (('entities.name="model"',), ())
    assert split_settings(given, "", "entities") == ((), ('entities.name="model"',))
    with pytest.raises(ConfigError, match="without a task"):
        split_settings(given, "", "")
