"""Checks by whole trainings: stopped and resumed, in two processes, and built on other runs."""

import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgkit.config import read_yaml
from ecgkit.testing.case import OPTIONS, Case
from ecgkit.testing.closeness import distance
from ecgkit.testing.gradients import RECIPE, SIZE, check_same_gradients, one_thread, taken_step
from ecgkit.testing.pair import gradient_in_two
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.loop import pretrain
from ecgkit.training.meters import TIMING
from ecgkit.training.options import PretrainOptions, Watcher
from ecgkit.training.processes import Processes
from ecgkit.training.run import CONFIG, WEIGHTS, read_metrics
from ecgkit.training.weights import load_weights

STOP_AT = 3  # steps
# Stopped in the second step after the warm-up; what counts in steps comes to its turn within the training.
WARMUP, RESTART = 1, 3


class _KilledError(Exception):
    """Stands for any event that ends a process."""


def check_resume(case: Case) -> None:
    """A training that is killed within an epoch and resumed ends with the weights and curve of an unbroken one.

    It follows the family's own schedule with a short warm-up, and stops in the middle of it.
    """

    def die(done: int, total: int) -> None:
        if done == STOP_AT:
            raise _KilledError

    config = _scheduled(case)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        whole, stopped = Path(folder) / "whole", Path(folder) / "stopped"
        _train(case, config, whole, OPTIONS, Watcher())
        try:
            _train(case, config, stopped, replace(OPTIONS, save_minutes=0.0), Watcher(step=die))
        except _KilledError:
            pass
        else:
            raise CheckSkipped(f"the training has no {STOP_AT} steps")
        _train(case, config, stopped, replace(OPTIONS, resume=True), Watcher())
        _compare_runs(whole, stopped)


def _scheduled(case: Case) -> Any:
    """Return the case's config with the schedule of its preset, for a training that is stopped."""
    own = case.presets[case.preset].recipe
    recipe = replace(case.config.recipe, schedule=own.schedule, warmup_steps=WARMUP, restart_steps=RESTART)
    return replace(case.config, recipe=recipe)


def _train(case: Case, config: Any, out: Path, options: PretrainOptions, watcher: Watcher) -> None:
    pretrain(case.entry, config, case.store, out, options, watcher, task=case.task)


def _compare_runs(a: Path, b: Path) -> None:
    remedy = "Keep all state that changes during training in buffers, and draw only from torch's generator."
    for line, other in zip(read_metrics(a), read_metrics(b), strict=True):
        for name in (key for key in line if key not in TIMING):
            if line[name] != other.get(name):
                raise CheckFailed(
                    f"after a stop {name} is {other.get(name)}, without {line[name]}", "the same to the bit", remedy
                )
    weights, others = load_weights(a / WEIGHTS), load_weights(b / WEIGHTS)
    for name, value in weights.items():
        if distance(value.float(), others[name].float()) > 0:
            raise CheckFailed(f"after a stop {name} ends elsewhere", "the same to the bit", remedy)


def check_two_processes(case: Case) -> None:
    """Two processes with half a batch each take the same step as one process with the whole batch."""
    task = case.task.name if case.task else ""
    with one_thread():  # as each of the two has
        alone = taken_step(case.variant(**RECIPE), Processes()).gradients
    config = replace(case.config, recipe=replace(case.config.recipe, **RECIPE))
    together = gradient_in_two(case.entry, config, case.store.path, task)
    check_same_gradients(
        alone,
        together,
        f"one process with {SIZE} records and two with half of them",
        "Compare records over all processes (ecgkit.nn.contrastive.gather, info_nce), give each record the same "
        "weight, and draw from torch's generator.",
    )


def check_built_on(case: Case) -> None:
    """Every run named in the config is declared in the method's `built_on`, and the new run records it."""
    parents = case.entry.load().built_on(case.config)
    forgotten = [run for run in _runs_in(case.config) if run.resolve() not in {parent.resolve() for parent in parents}]
    if forgotten:
        raise CheckFailed(
            f"the config names the run {forgotten[0]}, and built_on does not", "every run that it is built on"
        )
    if not parents:
        raise CheckSkipped("the method is built on no run")
    with tempfile.TemporaryDirectory() as folder:
        _train(case, case.config, Path(folder) / "run", OPTIONS, Watcher())
        recorded = {entry["run"] for entry in read_yaml(Path(folder) / "run" / CONFIG).get("built_on", [])}
    missing = [str(parent) for parent in parents if str(parent.resolve()) not in recorded]
    if missing:
        raise CheckFailed(f"the run does not record that it is built on {missing[0]}", "its path in config.yaml")


def _runs_in(value: Any) -> Iterator[Path]:
    """Yield the folders of finished runs that a config names."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _runs_in(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _runs_in(item)
    elif isinstance(value, str | Path) and str(value) and (Path(value) / WEIGHTS).is_file():
        yield Path(value)
