"""``ecgkit.pretrain``, ``resume_pretraining`` and ``estimate_pretraining``: train a method on a store."""

from functools import partial
from pathlib import Path

from ecgkit.api.arguments import PathLike, Settings
from ecgkit.api.training import (
    Pretraining,
    Training,
    command_line,
    configured,
    probe_notes,
    process_notes,
    read_unfinished,
    task_of,
    train,
)
from ecgkit.store.reader import Store
from ecgkit.training.estimate import Estimate, estimate
from ecgkit.training.options import PretrainOptions, Watcher


def pretrain(
    *,
    method: str,
    data: PathLike,
    out: PathLike,
    preset: str = "",
    task: str = "",
    epochs: int | None = None,
    accumulate: int | None = None,
    config: PathLike | None = None,
    settings: Settings = (),
    seed: int = 0,
    gpus: int = 0,
    processes: int = 0,
    shard: bool = False,
    device: str = "auto",
    compile: bool | None = None,
    workers: int | None = None,
    save_minutes: float = 15.0,
    keep: int = 2,
    probe_task: str = "",
    probe_data: PathLike | None = None,
    probe_every: int = 5,
    all_folds: bool = False,
    tensorboard: bool = False,
    profile: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> Pretraining:
    """Train a method on a store and write a run folder.

    It trains on folds 1-8 and validates on fold 9. Fold 10, on which probes test, is held out.

    With `gpus` or `processes`, the training runs in new processes of this machine, each of which runs the command
    ``ecgkit pretrain``. The first of them prints its progress, and `watcher` is not called.

    Args:
        method: Method family; ``ecgkit.list_methods()`` lists them.
        data: Store to train on.
        out: Run folder to make. It appears when training is complete; until then it is ``OUT.partial``.
        preset: Named set of sizes. By default the first of the method.
        task: For a supervised method, the task whose labels it trains on: a name or a YAML file.
        epochs: Number of epochs; the setting ``recipe.epochs``.
        accumulate: Number of parts in which a batch is computed; the setting ``recipe.accumulate``.
        config: YAML file of settings, or the ``config.yaml`` of a run.
        settings: Single settings of the method, such as ``{"depth": 4, "recipe.lr": 1e-3}``.
        seed: Seed of weights, order, crops and masks.
        gpus: Number of GPUs of this machine, with one process each.
        processes: Number of processes on the CPU.
        shard: Split the model over the processes (FSDP2).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        compile: Compile the training step. By default only on a GPU.
        workers: Number of processes that load batches. By default 1 on a CPU, and up to 8 on a GPU.
        save_minutes: Minutes between two checkpoints.
        keep: Number of checkpoints to keep.
        probe_task: Task on whose validation part the model is probed during training.
        probe_data: Store of `probe_task`. By default `data`.
        probe_every: Number of epochs between two of these probes.
        all_folds: Train on fold 10 too.
        tensorboard: Write TensorBoard's event files too.
        profile: Write a trace and a table of some steps.
        overwrite: Replace an existing run, finished or not.
        watcher: Functions that are called as the training goes on.

    Returns:
        The run folder, the metrics of every epoch, and the time it took.

    Raises:
        ConfigError: A preset, setting or option does not fit.
        PluginError: There is no such method or task.
        StoreError: The store lacks what the method needs, or has too few records.
        TaskError: The store has no labels of the task.
        RunError: The loss is not a number, the device does not exist, or a process failed.
        OutputError: `out` exists, or there is an unfinished run of it.
        KeyboardInterrupt: A signal asked to stop. A checkpoint is saved, and `resume_pretraining` continues.
    """
    command = partial(command_line, {name: value for name, value in locals().items() if name != "watcher"})
    entry, preset, chosen = configured(method, preset, config, settings, epochs, accumulate)
    options = PretrainOptions(
        preset=preset,
        seed=seed,
        device=_device(device, processes),
        workers=workers,
        all_folds=all_folds,
        overwrite=overwrite,
        shard=shard,
        compile=compile,
        save_minutes=save_minutes,
        keep=keep,
        tensorboard=tensorboard,
        profile=profile,
        measure_every=probe_every,
        notes={**process_notes(gpus, processes), **probe_notes(probe_task, probe_data or data)},
    )
    return train(Training(entry, chosen, Path(data), Path(out), task_of(task), options), watcher, command)


def resume_pretraining(
    run: PathLike,
    *,
    device: str = "auto",
    gpus: int = 0,
    processes: int = 0,
    profile: bool = False,
    watcher: Watcher | None = None,
) -> Pretraining:
    """Continue an unfinished training where it stopped, with the settings and the store that it was started with.

    Args:
        run: The run, by its final name or as ``RUN.partial``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. By default the device that it was started with.
        gpus: Number of GPUs of this machine. By default the number that it was started with.
        processes: Number of processes on the CPU. By default the number that it was started with.
        profile: Write a trace and a table of some steps.
        watcher: Functions that are called as the training goes on.

    Returns:
        The run folder, the metrics of every epoch, and the time that this call took.

    Raises:
        RunError: There is no unfinished run of this name, or it is finished.
        OutputError: Another process trains it, or its store has changed.
    """
    path = Path(run)
    training = read_unfinished(path, device, profile, process_notes(gpus, processes))
    asked = {"resume": path, "device": device, "gpus": gpus, "processes": processes, "profile": profile}
    return train(training, watcher, partial(command_line, asked))


def estimate_pretraining(
    *,
    method: str,
    data: PathLike,
    preset: str = "",
    task: str = "",
    epochs: int | None = None,
    accumulate: int | None = None,
    config: PathLike | None = None,
    settings: Settings = (),
    seed: int = 0,
    gpus: int = 0,
    processes: int = 0,
    device: str = "auto",
    compile: bool | None = None,
    all_folds: bool = False,
) -> Estimate:
    """Return what a training would take, without training.

    Args:
        method: As for `pretrain`; so are all others.
        data: Store to train on.
        preset: Named set of sizes.
        task: Task of a supervised method.
        epochs: Number of epochs.
        accumulate: Number of parts of a batch.
        config: YAML file of settings.
        settings: Single settings.
        seed: Seed.
        gpus: Number of GPUs that would train.
        processes: Number of processes that would train.
        device: Device on which a step is timed.
        compile: Compile the step before it is timed.
        all_folds: Train on fold 10 too.

    Returns:
        Parameters, memory, steps, and the time that they need. One step is measured.
    """
    entry, preset, chosen = configured(method, preset, config, settings, epochs, accumulate)
    options = PretrainOptions(
        preset=preset, seed=seed, device=_device(device, processes), compile=compile, all_folds=all_folds
    )
    many = process_notes(gpus, processes).get("processes", 1)
    return estimate(entry, chosen, Store(Path(data)), options, processes=many, task=task_of(task))


def _device(device: str, processes: int) -> str:
    """Return the device; several processes without a word of GPUs train on the CPU."""
    return "cpu" if processes and device == "auto" else device
