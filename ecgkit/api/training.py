"""A requested training, new or resumed, and its execution in this process or in several."""

import inspect
import os
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ecgkit.api.arguments import PathLike, Settings, assignments, path_or_none
from ecgkit.choices import handed_on, recorded
from ecgkit.config import build
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.probe.online import OnlineProbe
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.interrupt import keeps
from ecgkit.methods import chosen_config, refuse_pretraining
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.remote import located
from ecgkit.tasks.loading import find_task, task_reference
from ecgkit.training import loop
from ecgkit.training.failures import how_to_go_on
from ecgkit.training.groundwork import Groundwork
from ecgkit.training.launch import ProcessError, is_started_by_a_launcher, launch
from ecgkit.training.options import CHOSEN, PretrainOptions, Watcher
from ecgkit.training.processes import placement
from ecgkit.training.run import read_config, read_metrics
from ecgkit.training.unfinished import RESUME, check_free, finished, left_of, read_resume, unfinished

# Notes of a training's options.
PROCESSES, PROBE_TASK, PROBE_DATA, PROBE_SETTINGS = "processes", "probe_task", "probe_data", "probe_settings"
SETTINGS = {"settings": "--set", "task_settings": "--task-set"}  # options that are repeated


@dataclass(frozen=True)
class Training:
    """A requested training.

    Args:
        entry: The method family.
        config: Its config.
        data: The store.
        out: The run folder.
        task: The task that gives the labels, if the method needs labels.
        options: Execution options. Their notes hold the number of processes, and task and store of the online probe.
    """

    entry: MethodEntry
    config: Any
    data: Path
    out: Path
    task: TaskEntry | None
    options: PretrainOptions

    @property
    def processes(self) -> int:
        """Number of processes that train."""
        return int(self.options.notes.get(PROCESSES, 1))


@dataclass(frozen=True)
class Pretraining:
    """A finished training.

    Args:
        run: The run folder; ``ecgkit.load(run)`` loads its encoder.
        metrics: The metrics of every epoch, as in the run's ``metrics.jsonl``.
        seconds: Duration of this call in s.
    """

    run: Path
    metrics: list[dict[str, Any]]
    seconds: float

    @property
    def best(self) -> dict[str, Any]:
        """The metrics of the epoch with the lowest validation loss."""
        return min(self.metrics, key=lambda epoch: epoch["val_loss"])


def configured(
    method: str,
    preset: str,
    config: PathLike | None,
    settings: Settings,
    epochs: int | None,
    accumulate: int | None,
) -> tuple[MethodEntry, str, Any]:
    """Return a method that can be pretrained, the name of its preset, and its config.

    Raises:
        RunError: The method only encodes.
    """
    entry = host().get(MethodEntry, method)
    if not entry.pretrains:
        refuse_pretraining(entry)
    of_recipe = [f"recipe.{name}={n}" for name, n in (("epochs", epochs), ("accumulate", accumulate)) if n is not None]
    name, chosen = chosen_config(entry, preset, path_or_none(config), assignments(settings) + of_recipe)
    return entry, name, chosen


def check_gpus(wanted: int, command: Sequence[str]) -> None:
    """Refuse to train on more GPUs than torch sees; the error names the command that trains without them.

    Args:
        wanted: Number of GPUs; 0 for no wish.
        command: The arguments of ``ecgkit`` for this training.

    Raises:
        RunError: torch sees fewer GPUs.
    """
    found = torch.cuda.device_count()
    if found >= wanted:
        return
    line = list(command)
    for flag in ("--gpus", "--device"):
        if flag in line:
            at = line.index(flag)
            del line[at : at + 2]
    share = min(wanted, len(os.sched_getaffinity(0)))
    others = {"on fewer GPUs": ["--gpus", str(found)]} if found else {}
    others["on the CPU"] = ["--processes", str(share)] if share > 1 else ["--device", "cpu"]
    ways = [f"{way}: {shlex.join(['ecgkit', *line, *new])}" for way, new in others.items()]
    seen = f"{found} GPU{'s' * (found != 1)}"
    raise RunError(f"--gpus {wanted}: torch sees {seen} on this machine", remedy=f"Train {', or '.join(ways)}")


def process_notes(gpus: int, processes: int) -> dict[str, int]:
    """Return the number of processes to start, as a note for the options.

    Raises:
        ConfigError: Both numbers are given.
    """
    if gpus and processes:
        raise ConfigError(f"--gpus {gpus} together with --processes {processes}", "", "Give only one of them.")
    return {PROCESSES: gpus or processes} if gpus or processes else {}


def probe_notes(task: str, data: PathLike, settings: Sequence[str]) -> dict[str, Any]:
    """Return task, store and settings of the online probe, as notes for the options."""
    if not task:
        return {}
    about = {PROBE_TASK: task_reference(find_task(task)), PROBE_DATA: str(located(data).resolve())}
    return {**about, PROBE_SETTINGS: list(settings)} if settings else dict(about)


def split_settings(settings: Settings, task: str, probe_task: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the settings of the task that gives the labels, and those of the online probe's task.

    They belong to the first, and to the second if there is no first.

    Raises:
        ConfigError: There are settings and no task.
    """
    given = tuple(assignments(settings))
    if given and not task and not probe_task:
        raise ConfigError(f"--task-set {given[0]} without a task", remedy="Name one with --task or --probe-task.")
    return (given, ()) if task else ((), given)


def choice_notes() -> dict[str, dict[str, str]]:
    """Return the values that were chosen for this training, as a note for the options."""
    return {CHOSEN: recorded()} if recorded() else {}


def task_of(name: str) -> TaskEntry | None:
    """Return the task whose labels a supervised method trains on."""
    return find_task(name) if name else None


def read_unfinished(run: Path, device: str, profile: bool, notes: Mapping[str, Any]) -> Training:
    """Return an unfinished training with its original settings.

    Raises:
        RunError: No unfinished run of this name exists.
    """
    saved = read_resume(run)
    out = finished(run)
    folder = unfinished(out)
    entry, config, _ = read_config(folder)
    kept = dict(saved["options"])
    if kept.pop("tensorboard", False):  # as ecgkit 0.1 wrote it
        kept["log"] = ["tensorboard"]
    options = build(PretrainOptions, kept, source=str(folder / RESUME))
    options = replace(options, resume=True, profile=profile, notes={**options.notes, **notes})
    if device != "auto":
        options = replace(options, device=device)
    return Training(entry, config, Path(saved["store"]), out, task_of(saved["task"]), options)


def train(training: Training, watcher: Watcher | None, command: Callable[[], Sequence[str]]) -> Pretraining:
    """Train in this process, or in as many processes as requested.

    Args:
        training: The training.
        watcher: Functions to call during the training.
        command: Returns the arguments of ``ecgkit`` for the same training, which the other processes run.

    Raises:
        ProcessError: One of several processes ended with an error.
        KeyboardInterrupt: A signal asked to stop, and a checkpoint is saved.
    """
    began = time.perf_counter()
    if training.processes > 1 and not is_started_by_a_launcher():
        _start_processes(training, command(), watcher or Watcher())
        metrics = read_metrics(training.out)
    else:
        metrics = _train_here(training, watcher or Watcher())
    return Pretraining(training.out, metrics, time.perf_counter() - began)


def _start_processes(training: Training, command: Sequence[str], watcher: Watcher) -> None:
    """Start the processes, after early checks in this process."""
    options = training.options
    if options.device != "cpu":
        check_gpus(training.processes, command)
    check_free(training.out, overwrite=options.overwrite, resume=options.resume)
    groundwork = Groundwork(training.entry, training.config, Store(training.data), options.prepare)
    groundwork.lay(watcher.prepare)
    with keeps(partial(left_of, training.out)), handed_on():
        failure = launch(training.processes, command)
    if failure:
        raise ProcessError(failure, how_to_go_on(left_of(training.out)))


def _train_here(training: Training, watcher: Watcher) -> list[dict[str, Any]]:
    me = placement(os.environ)
    if watcher.measure is None and (me is None or me.first):
        watcher = replace(watcher, measure=_online_probe(training))
    store = Store(training.data)
    return loop.pretrain(
        training.entry, training.config, store, training.out, training.options, watcher, task=training.task
    )


def _online_probe(training: Training) -> OnlineProbe | None:
    """Return the online probe of the training, if one is requested."""
    notes = training.options.notes
    if PROBE_TASK not in notes:
        return None
    settings = tuple(notes.get(PROBE_SETTINGS, ()))
    seed = training.options.seed
    asked = ProbeRequest(notes[PROBE_DATA], notes[PROBE_TASK], task_settings=settings, seed=seed, cache=None)
    return OnlineProbe(asked, training.entry, training.config)


def command_line(arguments: Mapping[str, Any], function: Callable[..., Any]) -> list[str]:
    """Return the arguments of ``ecgkit pretrain`` that correspond to those of a function.

    Args:
        arguments: Arguments by name.
        function: The function; arguments with its defaults are left out.
    """
    line = ["pretrain"]
    usual = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    for name, value in arguments.items():
        if name in usual and value == usual[name]:
            continue
        flag = f"--{name.replace('_', '-')}"
        if name in SETTINGS:
            line += [part for text in assignments(value) for part in (SETTINGS[name], text)]
        elif isinstance(value, bool):
            line += [flag] if value else [f"--no-{flag[2:]}"] * (usual.get(name) is None)
        elif isinstance(value, list | tuple):
            line += [part for one in value for part in (flag, str(one))]
        elif value is not None and value != "":
            line += [flag, str(value)]
    return line
