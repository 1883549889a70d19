"""Checks by whole trainings: stopped and resumed, and in two processes."""

import tempfile
from dataclasses import replace
from pathlib import Path

from ecgkit.methods import Method
from ecgkit.testing.case import OPTIONS, Case
from ecgkit.testing.closeness import distance
from ecgkit.testing.pair import SIZE, gradient, gradient_in_two
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.loop import pretrain
from ecgkit.training.meters import TIMING
from ecgkit.training.options import PretrainOptions, Watcher
from ecgkit.training.run import WEIGHTS, read_metrics
from ecgkit.training.weights import load_weights

STOP_AT = 3  # steps
TWO_TOLERANCE = 1e-3  # negatives that stay in their process change gradients by tens of percent


class _KilledError(Exception):
    """Stands for whatever ends a process."""


def check_resume(case: Case) -> None:
    """A training that dies in an epoch and is resumed ends with the weights and the curve of one that was not."""

    def die(done: int, total: int) -> None:
        if done == STOP_AT:
            raise _KilledError

    with tempfile.TemporaryDirectory() as folder:
        whole, stopped = Path(folder) / "whole", Path(folder) / "stopped"
        _train(case, whole, OPTIONS, Watcher())
        try:
            _train(case, stopped, replace(OPTIONS, save_minutes=0.0), Watcher(step=die))
        except _KilledError:
            pass
        else:
            raise CheckSkipped(f"the training has no {STOP_AT} steps")
        _train(case, stopped, replace(OPTIONS, resume=True), Watcher())
        _compare_runs(whole, stopped)


def _train(case: Case, out: Path, options: PretrainOptions, watcher: Watcher) -> None:
    pretrain(case.entry, case.config, case.store, out, options, watcher, task=case.task)


def _compare_runs(a: Path, b: Path) -> None:
    remedy = "Keep what changes while training in buffers, and draw from torch's generator alone."
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
    """Two processes with half a batch each take the step that one takes with the whole batch."""
    method: Method = case.setup.method
    task = case.task.name if case.task else ""
    config = case.config
    alone = gradient(case.entry, config, case.store.path, task)
    together = gradient_in_two(case.entry, config, case.store.path, task)
    scale = max(float(value.abs().max()) for value in alone.values())
    for name, _ in method.named_parameters():
        if name not in alone:
            continue
        gap = float((alone[name] - together[name]).abs().max())
        if not gap <= TWO_TOLERANCE * (float(alone[name].abs().max()) + 0.1 * scale):
            raise CheckFailed(
                f"the gradient of {name} differs by {gap:.2g} of {scale:.2g} between one process with {SIZE} records "
                "and two with half of them",
                "the same",
                "Compare records over all processes (ecgkit.nn.contrastive.gather, info_nce), give each record the "
                "same weight, and draw from torch's generator.",
            )
