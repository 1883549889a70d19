"""Estimate of a training's parameters, tokens, memory, steps and time, without training."""

import statistics
from dataclasses import dataclass, replace
from typing import Any

import torch

from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.methods import Clock
from ecgkit.store.reader import Store
from ecgkit.training.cost import Cost, peak_flops, timed
from ecgkit.training.engine import Engine
from ecgkit.training.options import Beginning, PretrainOptions
from ecgkit.training.plan import Piece
from ecgkit.training.processes import Processes
from ecgkit.training.setup import Setup, set_up

STEPS = 3  # timed
LONGEST_STEP = 1.0  # seconds at the device's peak; a longer step is not timed


@dataclass(frozen=True)
class Estimate:
    """The estimate of a training.

    Args:
        beginning: Summary of the training.
        step_seconds: Seconds of one optimiser step in one process, without data loading.
        measured: Whether the step was measured. If not, because it would take long, it is the least time that its
            FLOPs need at the device's peak.
        memory: Estimated bytes that a process needs for a step.
        peak: Peak FLOP/s of the device.
    """

    beginning: Beginning
    step_seconds: float
    measured: bool
    memory: float
    peak: float

    @property
    def steps(self) -> int:
        """Number of optimiser steps in all epochs."""
        return self.beginning.steps * self.beginning.recipe.epochs

    @property
    def seconds(self) -> float:
        """Estimated seconds of all steps, assuming that processes run in parallel without overhead."""
        return self.steps * self.step_seconds


def estimate(
    entry: MethodEntry,
    config: Any,
    store: Store,
    options: PretrainOptions,
    *,
    processes: int = 1,
    task: TaskEntry | None = None,
) -> Estimate:
    """Estimate a training. Nothing is written: the records that it needs are read one by one.

    Args:
        entry: The method family.
        config: Its config.
        store: The store to train on.
        options: Execution options of the training.
        processes: Number of processes that would train.
        task: Task that gives the labels, for a method that needs them.
    """
    setup = set_up(entry, config, store, options, Processes(), task, preview_only=True)
    cost = setup.cost()
    recipe = setup.recipe
    share = max(1, recipe.batch_size // (processes * recipe.accumulate))
    peak = peak_flops(recipe, setup.device)
    least = cost.flops * len(setup.split.train) / (setup.plan(Processes()).steps * processes * peak)
    measured = least < LONGEST_STEP
    return Estimate(
        setup.beginning(processes, cost, peak),
        _step_seconds(setup, cost, processes) if measured else least,
        measured,
        cost.memory(share),
        peak,
    )


def _step_seconds(setup: Setup, cost: Cost, processes: int) -> float:
    """Time the steps of one process's share of a batch."""
    recipe = replace(setup.recipe, batch_size=max(setup.recipe.accumulate, setup.recipe.batch_size // processes))
    batch = setup.batch(max(1, recipe.batch_size // recipe.accumulate))
    number = len(batch.rows)
    piece = Piece(batch.rows.cpu().numpy(), (number,), number, 1 / recipe.accumulate)
    pieces = [piece] * recipe.accumulate
    engine = Engine(
        setup.method,
        recipe,
        Processes(),
        recompute=setup.options.recompute,
        compile=setup.options.compiles(setup.device),
        idle=cost.idle,
    )
    setup.method.train()

    def step() -> None:
        engine.step(pieces, iter([batch] * len(pieces)), Clock.at(0, recipe.epochs, recipe.epochs))

    step()  # warms up
    torch.manual_seed(setup.options.seed)
    return statistics.median(timed(step, setup.device) for _ in range(STEPS))
