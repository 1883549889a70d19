"""Execution options of a training, and the functions that watch it."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ecgkit.choices import choose
from ecgkit.progress import Progress, silent
from ecgkit.wording import duration, plural

if TYPE_CHECKING:
    import torch

    from ecgkit.methods import Method
    from ecgkit.recipe import Recipe
    from ecgkit.signal.spec import SignalSpec
    from ecgkit.training.cost import Cost
    from ecgkit.training.data import Split
    from ecgkit.training.preparation import TextOrigin

LONG = 3600.0  # seconds; a longer training on a CPU is announced

CHOSEN = "defaults"  # note of the values that were not given but chosen, which config.yaml records


@dataclass(frozen=True)
class PretrainOptions:
    """Execution options of a training, apart from the method's own config.

    Args:
        preset: Name of the preset that the config started from; it is only recorded.
        task_settings: Changes of the task that gives the labels, such as ``entities.name=model``.
        seed: Seed of weights, order, crops and masks.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Number of loading processes per training process; 0 loads in the training process. None: several for
            a GPU, one for a CPU.
        all_folds: Also train on the test fold.
        subset: Largest number of training records, chosen patient by patient; None for all.
        overwrite: Replace an existing run.
        resume: Continue an unfinished run of the same settings, if there is one.
        shard: Let each process hold only a part of the model.
        recompute: Compute the inner values of transformer blocks again in the backward pass, to save memory.
        bucket_mb: Size of the buckets in which processes exchange gradients, in MiB.
        compile: Compile the step. None: only on a GPU, if the machine has the C compiler that this needs.
        save_minutes: Minutes between checkpoints.
        keep: Number of checkpoints to keep.
        log: Names of the loggers that follow the training.
        profile: Record some steps with torch's profiler.
        measure_every: Number of epochs between calls of `Watcher.measure`.
        view_on_device: Keep the view in the memory of the device. None: only on a GPU, if it fits.
        stream: Read the view in blocks. None: only if it takes more than half of the machine's memory.
        scratch: Folder on a disk of this machine, to which the view is copied first; empty to read it where it lies.
        prepare: Add what the store lacks, such as R peaks, before the training.
        notes: Values of the caller, which are restored when the run is resumed.
    """

    preset: str = ""
    task_settings: tuple[str, ...] = ()
    seed: int = 0
    device: str = "auto"
    workers: int | None = None
    all_folds: bool = False
    subset: int | None = None
    overwrite: bool = False
    resume: bool = False
    shard: bool = False
    recompute: bool = False
    bucket_mb: float = 25.0
    compile: bool | None = None
    save_minutes: float = 15.0
    keep: int = 2
    log: tuple[str, ...] = ()
    profile: bool = False
    measure_every: int = 1
    view_on_device: bool | None = None
    stream: bool | None = None
    scratch: str = ""
    prepare: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    def compiles(self, device: "torch.device") -> bool:
        """Return whether the step is compiled on a device. On a GPU torch needs a C compiler for it."""
        if self.compile is not None:
            return self.compile
        if device.type != "cuda":
            return False
        known = bool(os.environ.get("CC")) or any(shutil.which(name) for name in ("gcc", "clang"))
        if not known:
            choose("--compile", "off", "torch needs a C compiler for it, and finds neither gcc nor clang")
        return known

    def to_resume(self) -> dict[str, Any]:
        """Return the options with which a run is resumed."""
        return {k: v for k, v in asdict(self).items() if k not in ("resume", "profile", "prepare")}


@dataclass(frozen=True)
class Beginning:
    """Summary of a training before its first step.

    Args:
        method: Name of the family.
        preset: Name of the preset that the config started from.
        signal: The model's input.
        split: Rows of the training, validation and held-out parts.
        cost: Cost of a record.
        recipe: The training recipe.
        processes: Number of processes that train.
        precision: ``fp32`` or ``bf16``.
        steps: Optimiser steps per epoch.
        left_out: Training records that are in no batch.
        patients: Number of known patients of each part of the split.
        all_folds: Whether the test fold is trained on too.
        subset: Largest number of training records that was asked for; None for all.
        task: Task that gives the labels and the split; empty for none.
        origins: Where the values of the supplies come from, by need.
        text: The text encoder; None if the method reads no text.
        least_seconds: Seconds that the training needs at least, at the device's peak rate; None if unknown.
        lighter: Name of the family's preset with the least work.
    """

    method: str
    preset: str
    signal: "SignalSpec"
    split: "Split"
    cost: "Cost"
    recipe: "Recipe"
    processes: int
    precision: str
    steps: int
    left_out: int = 0
    patients: Mapping[str, int] = field(default_factory=dict)
    all_folds: bool = False
    subset: int | None = None
    task: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)
    text: "TextOrigin | None" = None
    least_seconds: float | None = None
    lighter: str = ""

    @property
    def reached_lr(self) -> float:
        """The highest learning rate that the training reaches."""
        return self.recipe.reached_lr(self.steps)

    def warnings(self) -> list[str]:
        """Return warnings about the training, one line each."""
        recipe, lines = self.recipe, self._cautions()
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

    def _cautions(self) -> list[str]:
        lines = []
        if self.text is not None and self.text.caution:
            lines.append(f"the text encoder {self.text.name} {self.text.caution}")
        if self.least_seconds is not None and self.least_seconds > LONG:
            fits = f"; the preset that fits it is {self.lighter}: --preset {self.lighter}" if self.lighter else ""
            lines.append(f"on this CPU the training takes at least {duration(self.least_seconds)}{fits}")
        return lines

    def __str__(self) -> str:
        """Return the summary as lines: input, data, where they come from, model, batch and learning rate."""
        lines = {
            "method": self.method + (f", preset {self.preset}" if self.preset else ""),
            "input": f"{self.signal}",
            "records": self._of_parts({name: len(rows) for name, rows in self.split.parts().items()}),
            "patients": self._of_parts(self.patients),
            "split": f"of task {self.task}" if self.task else self._folds(),
            **self.origins,
            **({"text": f"{self.text.name}: {self.text.summary}"} if self.text else {}),
            "model": f"{self.cost.trained:,} trained parameters, {self.precision}",
            "training": self._batches(),
            "schedule": self._schedule(),
            "peak lr": self._rate(),
        }
        return "\n".join(f"{name + ':':<10}{value}" for name, value in lines.items() if value)

    def _of_parts(self, of: Mapping[str, int]) -> str:
        names = {"train": "train", "val": "validation", "held_out": "held out"}
        return ", ".join(f"{of[part]:,} {name}" for part, name in names.items() if part in of)

    def _folds(self) -> str:
        folds = (
            "folds 1-8 and 10 train, 9 validation" if self.all_folds else "folds 1-8 train, 9 validation, 10 held out"
        )
        return folds + ("" if self.subset is None else f"; a subset of at most {self.subset:,} records, whole patients")

    def _batches(self) -> str:
        recipe = self.recipe
        share = recipe.batch_size / (self.processes * recipe.accumulate)
        cut = f" (= {self.processes} processes x {recipe.accumulate} parts x {share:g})"
        batch = f"{plural(recipe.epochs, 'epoch')} of global batch {recipe.batch_size}"
        return f"{batch}{cut if share < recipe.batch_size else ''}, {self.steps * recipe.epochs:,} steps"

    def _schedule(self) -> str:
        recipe = self.recipe
        return f"{recipe.schedule} after {recipe.warmup(self.steps):g} epochs of warm-up, {recipe.optimizer}"

    def _rate(self) -> str:
        recipe = self.recipe
        peak = f"{recipe.peak_lr:.3g} (= {recipe.lr:g} x {recipe.batch_size} / 256)"
        below = self.reached_lr < recipe.peak_lr
        return f"{self.reached_lr:.3g} reached, below {peak}" if below else peak


@dataclass
class Watcher:
    """Functions that a training calls. Each is optional. Only the first process calls them.

    Args:
        prepare: Called with stage, records done and records in all, while the data are prepared, such as the view.
        start: Called once before the first step, with the summary of the training.
        resume: Called with the step from which an unfinished run continues.
        expect: Called once, after the first steps, with the expected seconds of the rest of the training.
        step: Called with steps done and in all.
        live: Called about once per second, with the running means and rates.
        epoch: Called with the metrics of an epoch.
        warn: Called with a warning of one line.
        measure: Called at the end of an epoch, with the epoch's number and the method in evaluation mode. The numbers
            that it returns become part of the epoch's metrics.
    """

    prepare: Progress = silent
    start: Callable[[Beginning], None] = lambda beginning: None
    resume: Callable[[int], None] = lambda step: None
    expect: Callable[[float], None] = lambda seconds: None
    step: Callable[[int, int], None] = lambda done, total: None
    live: Callable[[Mapping[str, Any]], None] | None = None
    epoch: Callable[[dict[str, Any]], None] = lambda metrics: None
    warn: Callable[[str], None] = lambda line: None
    measure: Callable[[int, "Method"], Mapping[str, float | None]] | None = None
