"""How to run a training, and what of it may be watched."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgkit.methods import Method
    from ecgkit.recipe import Recipe
    from ecgkit.signal.spec import SignalSpec
    from ecgkit.training.cost import Cost
    from ecgkit.training.data import Split


@dataclass(frozen=True)
class PretrainOptions:
    """How to run, apart from the method's own config.

    Args:
        preset: Name of the preset that the config started from, for the record.
        seed: Of weights, order, crops and masks.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Processes that load batches for each process that trains; 0 loads in that one. None: several for a
            GPU, one for a CPU.
        all_folds: Train on the test fold too.
        overwrite: Replace an existing run.
        resume: Go on where an unfinished run of the same settings stopped, if there is one.
        shard: Let each process hold a part of the model only.
        compile: Compile the step; None: on a GPU only.
        save_minutes: Minutes between two checkpoints.
        keep: How many checkpoints stay.
        tensorboard: Write TensorBoard's event files too.
        profile: Record some steps with torch's profiler.
        measure_every: Epochs between two calls of `Watcher.measure`.
        notes: What the caller wants to find again when it goes on with the run.
    """

    preset: str = ""
    seed: int = 0
    device: str = "auto"
    workers: int | None = None
    all_folds: bool = False
    overwrite: bool = False
    resume: bool = False
    shard: bool = False
    compile: bool | None = None
    save_minutes: float = 15.0
    keep: int = 2
    tensorboard: bool = False
    profile: bool = False
    measure_every: int = 1
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_resume(self) -> dict[str, Any]:
        """Return the options with which a run goes on."""
        return {k: v for k, v in asdict(self).items() if k not in ("overwrite", "resume", "profile")}


@dataclass(frozen=True)
class Beginning:
    """What is about to be trained.

    Args:
        signal: The model's input.
        split: Who is in which part.
        cost: What a record costs.
        recipe: How it is trained.
        processes: How many processes train.
        precision: ``fp32`` or ``bf16``.
        steps: Optimiser steps per epoch.
        left_out: Training records that are in no batch.
    """

    signal: "SignalSpec"
    split: "Split"
    cost: "Cost"
    recipe: "Recipe"
    processes: int
    precision: str
    steps: int
    left_out: int = 0

    @property
    def reached_lr(self) -> float:
        """The highest learning rate that the training reaches."""
        return self.recipe.reached_lr(self.steps)

    def warnings(self) -> list[str]:
        """Return what is odd about the training, a line each."""
        recipe, lines = self.recipe, []
        warmup = recipe.warmup(self.steps)
        if self.reached_lr < recipe.peak_lr:
            lines.append(
                f"the warm-up of {warmup:g} epochs is longer than the training of {recipe.epochs}: the learning rate "
                f"reaches {self.reached_lr:.3g} and not its peak of {recipe.peak_lr:.3g}. Set recipe.warmup_epochs "
                f"below {recipe.epochs}, or train longer"
            )
        if self.left_out:
            lines.append(
                f"{self.left_out} of {len(self.split.train)} training records are left out of each epoch: too few of "
                "their lead set or of their patient to fill a batch"
            )
        return lines

    def __str__(self) -> str:
        """Return lines that say it: input, records, parameters, batch and learning rate."""
        split, cost, recipe = self.split, self.cost, self.recipe
        share = recipe.batch_size / (self.processes * recipe.accumulate)
        cut = f" (= {self.processes} processes x {recipe.accumulate} parts x {share:g})"
        lines = {
            "input": f"{self.signal}",
            "records": f"{len(split.train)} train, {len(split.val)} validation, {len(split.held_out)} held out",
            "model": f"{cost.trained:,} trained parameters, {self.precision}",
            "training": f"{recipe.epochs} epochs of batch {recipe.batch_size}"
            + (cut if share < recipe.batch_size else ""),
            "peak lr": self._rate(),
        }
        return "\n".join(f"{name + ':':<10}{value}" for name, value in lines.items())

    def _rate(self) -> str:
        recipe = self.recipe
        peak = f"{recipe.peak_lr:.3g} (= {recipe.lr:g} x {recipe.batch_size} / 256)"
        below = self.reached_lr < recipe.peak_lr
        return f"{self.reached_lr:.3g} reached, below {peak}" if below else peak


@dataclass
class Watcher:
    """What a caller may watch of a training; every function is optional. Only the first process calls.

    Args:
        view: Records done and in all, while the view is made.
        start: What is about to be trained, once before the first step.
        resume: The step from which an unfinished run goes on.
        step: Steps done and in all.
        live: The running means and rates, about once per second.
        epoch: The metrics of an epoch.
        warn: A line that tells of something odd.
        measure: At the end of an epoch, the epoch's number and the method in evaluation mode; the numbers that it
            returns become part of the epoch's metrics.
    """

    view: Callable[[int, int], None] = lambda done, total: None
    start: Callable[[Beginning], None] = lambda beginning: None
    resume: Callable[[int], None] = lambda step: None
    step: Callable[[int, int], None] = lambda done, total: None
    live: Callable[[Mapping[str, Any]], None] | None = None
    epoch: Callable[[dict[str, Any]], None] = lambda metrics: None
    warn: Callable[[str], None] = lambda line: None
    measure: Callable[[int, "Method"], Mapping[str, float | None]] | None = None
