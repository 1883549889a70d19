"""``ecgkit pretrain``."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli.render import DeviceOption, OverwriteOption, SeedOption, progress, say, warn
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption, resolve

if TYPE_CHECKING:
    from ecgkit.training.data import Split


def pretrain(
    method: Annotated[str, typer.Option(help="Method family; 'ecgkit methods' lists them.")],
    data: Annotated[Path, typer.Option(help="A store.")],
    out: Annotated[Path, typer.Option(help="Run folder to make.")],
    preset: PresetOption = "",
    task: Annotated[str, typer.Option(help="For a supervised method: the task whose labels it trains on.")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Same as --set recipe.epochs=N.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    workers: Annotated[int, typer.Option(min=0, help="Processes that load batches.")] = 0,
    all_folds: Annotated[bool, typer.Option("--all-folds", help="Train on fold 10 too, which probes test on.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a method on a store, on one CPU or one GPU.

    Folds 1-8 are trained on and fold 9 is watched; fold 10, which probes test on, stays out.
    """
    from ecgkit.entries import MethodEntry, TaskEntry
    from ecgkit.plugins import host
    from ecgkit.store.reader import Store
    from ecgkit.training.loop import PretrainOptions, pretrain

    began = time.perf_counter()
    entry = host().get(MethodEntry, method)
    assignments = (settings or []) + ([f"recipe.epochs={epochs}"] if epochs else [])
    preset, resolved = resolve(entry, preset, config, assignments)
    options = PretrainOptions(preset, seed, device, workers, all_folds, overwrite)
    with progress() as watch:
        watcher = training_watcher(resolved, watch)
        labels = host().get(TaskEntry, task) if task else None
        metrics = pretrain(entry, resolved, Store(data), out, options, watcher, task=labels)
    best = min(metrics, key=lambda m: m["val_loss"])
    say(
        f"{out}: {len(metrics)} epochs in {time.perf_counter() - began:.1f} s, val loss {metrics[0]['val_loss']:.4f} "
        f"-> {metrics[-1]['val_loss']:.4f} (lowest {best['val_loss']:.4f} in epoch {best['epoch']})"
    )


def training_watcher(config: Any, watch: Any) -> Any:
    """Return a watcher that shows a training as bars and one line an epoch."""
    from ecgkit.training.loop import Watcher

    def started(split: "Split", parameters: int) -> None:
        recipe = config.recipe
        say(f"input: {config.signal}")
        say(
            f"{len(split.train)} records to train on, {len(split.val)} to watch, {len(split.held_out)} held out; "
            f"{parameters:,} trained parameters; {recipe.epochs} epochs of batch {recipe.batch_size}, "
            f"peak lr {recipe.peak_lr:.3g} (= {recipe.lr:g} x {recipe.batch_size} / 256)"
        )
        if len(split.unusable):
            warn(f"{len(split.unusable)} records have none of the model's leads, or hardly any signal: left out")

    def epoch_done(metrics: dict[str, Any]) -> None:
        say(
            f"epoch {metrics['epoch']:4d}  train {metrics['train_loss']:.4f}  val {metrics['val_loss']:.4f}  "
            f"lr {metrics['lr']:.2e}  {metrics['records_per_second']:.0f} records/s"
        )

    return Watcher(
        view=lambda done, total: watch("view", done, total),
        start=started,
        step=lambda done, total: watch("steps", done, total),
        epoch=epoch_done,
    )
