"""The training loop: batches in, losses down, a run folder out. It knows no family.

The validation loss uses the same crops and the same random masks in every epoch, so that it can be compared.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ecgkit.atomic import atomic_folder, check_output
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.errors import RunError
from ecgkit.methods import Batch, Corpus, Method
from ecgkit.recipe import Recipe
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.task import load_task, task_data
from ecgkit.training import run as run_folder
from ecgkit.training.data import (
    Split,
    Windows,
    evaluation_starts,
    load_batches,
    plan_batches,
    pretraining_split,
    task_split,
    training_starts,
)
from ecgkit.training.optimization import autocast, optimizer_for, take_step
from ecgkit.training.supply import Supply, open_supplies
from ecgkit.training.weights import save_weights


@dataclass(frozen=True)
class PretrainOptions:
    """How to run, apart from the method's own config.

    Args:
        preset: Name of the preset that the config started from, for the record.
        seed: Of weights, order, crops and masks.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        workers: Processes that load batches; 0 loads in this one.
        all_folds: Train on the test fold too.
        overwrite: Replace an existing run.
    """

    preset: str = ""
    seed: int = 0
    device: str = "auto"
    workers: int = 0
    all_folds: bool = False
    overwrite: bool = False


@dataclass
class Watcher:
    """What a caller may watch of a training; every function is optional.

    Args:
        view: Records done and in all, while the view is made.
        start: The split, once before the first step, with the number of trainable parameters.
        step: Steps done and in all.
        epoch: The metrics of an epoch.
    """

    view: Callable[[int, int], None] = lambda done, total: None
    start: Callable[[Split, int], None] = lambda split, parameters: None
    step: Callable[[int, int], None] = lambda done, total: None
    epoch: Callable[[dict[str, Any]], None] = lambda metrics: None


@dataclass
class Progress:
    """Where a training stands."""

    step: int = 0
    best: float = float("inf")
    metrics: list[dict[str, Any]] = field(default_factory=list)


def pretrain(
    entry: MethodEntry,
    config: Any,
    store: Store,
    out: Path,
    options: PretrainOptions = PretrainOptions(),
    watcher: Watcher | None = None,
    *,
    task: TaskEntry | None = None,
) -> list[dict[str, Any]]:
    """Train a method on a store and write a run folder.

    Args:
        entry: The family.
        config: Its config.
        store: The data.
        out: The run folder; it appears only when training is complete.
        options: See `PretrainOptions`.
        watcher: See `Watcher`.
        task: Where labels and their split come from, for a method that needs ``labels``.

    Returns:
        The metrics of every epoch.

    Raises:
        StoreError: The store lacks what the method needs, or has too few records.
        TaskError: The store has no labels of the task.
        RunError: The loss is no longer a number.
        OutputError: `out` exists.
    """
    watcher = watcher or Watcher()
    check_output(out, "run", overwrite=options.overwrite)
    device = run_folder.pick_device(options.device)
    view = open_view(store, config.signal, watcher.view)
    data = task_data(load_task(task), task.name, store, view.usable) if task else None
    family: type[Method] = entry.load()
    needs = (*entry.needs, *family.further_needs(config))
    supplies = open_supplies(needs, store, view, data, owner=entry.name)
    split = task_split(data) if data else pretraining_split(store.table, view.usable, all_folds=options.all_folds)
    corpus = Corpus(store, split.train, data.labels if data else ())
    config = family.complete(config, corpus)
    torch.manual_seed(options.seed)
    method = family(config)
    method.prepare(corpus)
    method = method.to(device)
    watcher.start(split, sum(p.numel() for p in method.parameters() if p.requires_grad))
    with atomic_folder(out, "run") as folder:
        _write_run(folder, entry, config, store, split, options, device, task.name if task else "")
        progress = _train(method, config.recipe, view, supplies, split, options, folder, watcher)
    return progress.metrics


def _train(
    method: Method,
    recipe: Recipe,
    view: View,
    supplies: Mapping[str, Supply],
    split: Split,
    options: PretrainOptions,
    folder: Path,
    watcher: Watcher,
) -> Progress:
    device = next(method.parameters()).device
    optimizer = optimizer_for(method, recipe, device)
    progress = Progress()
    for epoch in range(recipe.epochs):
        began = time.perf_counter()
        batches = plan_batches(view, split.train, recipe.batch_size, (options.seed, epoch))
        windows = Windows(view, training_starts(view, options.seed, epoch), supplies)
        method.train()
        sums = _Mean()
        for i, batch in enumerate(load_batches(windows, batches, options.workers)):
            done = epoch + (i + 1) / len(batches)
            sums.add(_step(method, batch.to(device), optimizer, recipe, done), len(batch.rows))
            progress.step += 1
            watcher.step(progress.step, len(batches) * recipe.epochs)
        train_seconds = time.perf_counter() - began
        val = validate(method, recipe, view, supplies, split.val, options)
        metrics = {
            "epoch": epoch + 1,
            "step": progress.step,
            "lr": optimizer.param_groups[0]["lr"],
            **{f"train_{name}": value for name, value in sums.means().items()},
            **{f"val_{name}": value for name, value in val.items()},
            "records_per_second": round(sums.count / train_seconds, 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        _keep(method, metrics, recipe, progress, folder)
        watcher.epoch(metrics)
    return progress


def _step(
    method: Method, batch: Batch, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float
) -> dict[str, Tensor]:
    """Train on one batch and return the losses, still on the device."""
    with autocast(recipe, batch.signal.device):
        losses = method.training_step(batch)
    take_step(losses.loss, optimizer, recipe, epoch)
    return losses.scalars()


@torch.no_grad()
def validate(
    method: Method,
    recipe: Recipe,
    view: View,
    supplies: Mapping[str, Supply],
    rows: np.ndarray,
    options: PretrainOptions,
) -> dict[str, float]:
    """Return the mean losses over `rows`, on fixed crops and with random masks that are the same each time."""
    device = next(method.parameters()).device
    method.eval()
    sums = _Mean()
    windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), supplies)
    batches = plan_batches(view, rows, recipe.batch_size)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(options.seed)
        for batch in load_batches(windows, batches, options.workers):
            with autocast(recipe, device):
                losses = method.training_step(batch.to(device))
            sums.add(losses.scalars(), len(batch.rows))
    return sums.means()


def _keep(method: Method, metrics: dict[str, Any], recipe: Recipe, progress: Progress, folder: Path) -> None:
    """Append an epoch's metrics and save the weights if they are the ones to keep."""
    if not np.isfinite([metrics["train_loss"], metrics["val_loss"]]).all():
        raise RunError(
            f"in epoch {metrics['epoch']} the training loss is {metrics['train_loss']}, on val {metrics['val_loss']}",
            "a number",
            "Lower the learning rate with --set recipe.lr=..., or set recipe.clip.",
        )  # fmt: skip
    progress.metrics.append(metrics)
    with (folder / run_folder.METRICS).open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(metrics) + "\n")
    if recipe.checkpoint == "last" or metrics["val_loss"] < progress.best:
        progress.best = metrics["val_loss"]
        save_weights(folder / run_folder.WEIGHTS, method)


def _write_run(
    folder: Path,
    entry: MethodEntry,
    config: Any,
    store: Store,
    split: Split,
    options: PretrainOptions,
    device: torch.device,
    task: str,
) -> None:
    """Write what is known before the first step: settings, data, and who is in which part."""
    parts = split.parts()
    details = {
        "seed": options.seed,
        "all_folds": options.all_folds,
        "task": task,
        "store": {"name": store.name, "dataset": store.attributes["dataset"], "sha256": store.content_hash},
        "records": {name: len(rows) for name, rows in parts.items()},
    }
    run_folder.write_config(folder, entry, options.preset, config, details, device)
    columns = store.table[["record_id", "patient_id", "sha256"]]
    pd.concat([columns.iloc[rows].assign(part=name) for name, rows in parts.items()]).to_parquet(
        folder / run_folder.RECORDS, index=False
    )


class _Mean:
    """Means of named scalars over records; they stay on the device until they are asked for."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}

    def add(self, values: dict[str, Tensor], records: int) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, torch.zeros((), device=value.device)) + value.float() * records
        self.count += records

    def means(self) -> dict[str, float]:
        return {name: float(total) / max(1, self.count) for name, total in self._sums.items()}
