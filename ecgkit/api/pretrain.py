"""``ecgkit.pretrain``, ``resume_pretraining`` and ``estimate_pretraining``: pretrain a method on a store."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ecgkit.api.arguments import PathLike, Settings, assignments
from ecgkit.api.training import (
    Pretraining,
    Training,
    check_gpus,
    choice_notes,
    command_line,
    configured,
    probe_notes,
    process_notes,
    read_unfinished,
    split_settings,
    task_of,
    train,
)
from ecgkit.choices import notes_choices
from ecgkit.errors import ConfigError
from ecgkit.store.reader import Store
from ecgkit.training.estimate import Estimate, estimate
from ecgkit.training.launch import is_started_by_a_launcher
from ecgkit.training.options import PretrainOptions, Watcher
from ecgkit.workspace.defaults import new_run, the_store


@notes_choices
def pretrain(
    *,
    method: str,
    data: PathLike | None = None,
    out: PathLike | None = None,
    preset: str = "",
    task: str = "",
    task_settings: Settings = (),
    epochs: int | None = None,
    accumulate: int | None = None,
    config: PathLike | None = None,
    settings: Settings = (),
    seed: int = 0,
    gpus: int = 0,
    processes: int = 0,
    shard: bool = False,
    recompute: bool = False,
    bucket_mb: float = 25.0,
    device: str = "auto",
    compile: bool | None = None,
    workers: int | None = None,
    save_minutes: float = 15.0,
    keep: int = 2,
    probe_task: str = "",
    probe_data: PathLike | None = None,
    probe_every: int = 5,
    all_folds: bool = False,
    subset: int | None = None,
    log: str | Sequence[str] = (),
    profile: bool = False,
    view_on_device: bool | None = None,
    stream: bool | None = None,
    scratch: PathLike | None = None,
    prepare: bool = False,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> Pretraining:
    """Pretrain a method on a store and write a run folder.

    Folds 1-8 are the training set and fold 9 the validation set. Fold 10 is held out as the test set of probes.

    With `gpus` or `processes`, the training runs in new processes of this machine, each of which runs the command
    ``ecgkit pretrain``. The first of them prints its progress, and `watcher` is not called.

    Args:
        method: Method family; ``ecgkit.list_methods()`` lists them.
        data: Store to train on. By default the only store of the current folder.
        out: Run folder to write. It appears when training is complete; until then it is ``OUT.partial``. By default
            ``runs/METHOD-PRESET``, or with ``-2``, ``-3`` and so on behind it if that exists.
        preset: Preset of the method. By default the first.
        task: For a supervised method, task that gives the labels: a name or a YAML file.
        task_settings: Settings of that task, such as ``{"entities.name": "model"}``; without `task`, of `probe_task`.
        epochs: Number of epochs; the setting ``recipe.epochs``.
        accumulate: Number of parts in which each batch is computed (gradient accumulation); the setting
            ``recipe.accumulate``.
        config: YAML file with settings of the method, or the ``config.yaml`` of a run.
        settings: Single settings of the method, such as ``{"depth": 4, "recipe.lr": 1e-3}``.
        seed: Seed of weights, order, crops and masks.
        gpus: Number of GPUs of this machine to train on, with one process per GPU.
        processes: Number of processes to train in on the CPU.
        shard: Shard the model over the processes (FSDP2).
        recompute: Compute the inner values of transformer blocks again in the backward pass. This saves memory and
            takes more time; the numbers stay the same.
        bucket_mb: Size of the buckets in which processes exchange gradients, in MiB.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        compile: Compile the training step with torch.compile. By default only on a GPU.
        workers: Number of processes that load batches. By default 1 on a CPU, up to 8 per GPU.
        save_minutes: Minutes between checkpoints.
        keep: Number of checkpoints to keep.
        probe_task: Task to probe the model on during training. Only its validation records are used.
        probe_data: Store with the labels of `probe_task`. By default `data`.
        probe_every: Number of epochs between probes.
        all_folds: Also train on fold 10.
        subset: Largest number of training records, chosen patient by patient from the seed: for curves over the size of
            the pretraining set. A smaller subset lies within a larger one.
        log: Loggers that follow the training, such as ``tensorboard``, ``wandb`` or ``mlflow``.
        profile: Profile some steps: write a trace and a table of operations.
        view_on_device: Keep the view in the memory of the device and make batches there. By default only on a GPU, if
            the view takes at most half of its free memory.
        stream: Read the view in blocks, in random order, and mix the records of a GiB of them. By default only if the
            view takes more than half of the machine's memory.
        scratch: Folder on a disk of this machine, to which the view is copied before the training.
        prepare: First add what the store lacks: R peaks, and entities read by the lexicon.
        overwrite: Replace an existing run, finished or unfinished.
        watcher: Functions to call during the training.

    Returns:
        The run folder, the metrics of every epoch, and the duration.

    Raises:
        ConfigError: A preset, setting or option does not fit.
        PluginError: There is no such method or task.
        StoreError: The store lacks what the method needs, or has too few records.
        TaskError: The store has no labels of the task.
        RunError: The loss is not a number, the device does not exist, torch sees fewer than `gpus` GPUs, or a process
            failed.
        OutputError: `out` exists, or an unfinished run of this name exists.
        KeyboardInterrupt: A signal asked to stop. A checkpoint is saved, and `resume_pretraining` continues.
    """
    given = {name: value for name, value in locals().items() if name != "watcher"}
    many = process_notes(gpus, processes)
    entry, preset, chosen = configured(method, preset, config, settings, epochs, accumulate)
    store = the_store(data, f"ecgkit pretrain --method {method}", "--data", scratch=scratch)
    run = run_folder(out, method, preset)
    command = partial(command_line, {**given, "data": store, "out": run}, pretrain)
    check_gpus(gpus, command())
    of_task, of_probe = split_settings(task_settings, task, probe_task)
    options = PretrainOptions(
        preset=preset,
        task_settings=of_task,
        seed=seed,
        device=_device(device, processes),
        workers=workers,
        all_folds=all_folds,
        subset=subset,
        overwrite=overwrite,
        shard=shard,
        recompute=recompute,
        bucket_mb=bucket_mb,
        compile=compile,
        save_minutes=save_minutes,
        keep=keep,
        log=(log,) if isinstance(log, str) else tuple(log),
        profile=profile,
        view_on_device=view_on_device,
        stream=stream,
        scratch="" if scratch is None else str(scratch),
        measure_every=probe_every,
        prepare=prepare,
        notes={**many, **probe_notes(probe_task, probe_data or store, of_probe), **choice_notes()},
    )
    return train(Training(entry, chosen, store, run, task_of(task), options), watcher, command)


def run_folder(out: PathLike | None, method: str, preset: str) -> Path:
    """Return the folder of the new run.

    Raises:
        ConfigError: Another launcher started several processes, and each would choose a run name of its own.
    """
    if out is None and is_started_by_a_launcher():
        raise ConfigError("missing --out: the processes of a launcher must share one name", remedy="Give --out RUN.")
    return new_run(out, method, preset)


def resume_pretraining(
    run: PathLike,
    *,
    device: str = "auto",
    gpus: int = 0,
    processes: int = 0,
    profile: bool = False,
    watcher: Watcher | None = None,
) -> Pretraining:
    """Continue an unfinished training where it stopped, with its original settings and store.

    Args:
        run: The run, by its final name or as ``RUN.partial``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. By default the original device.
        gpus: Number of GPUs of this machine. By default the original number.
        processes: Number of processes on the CPU. By default the original number.
        profile: Profile some steps: write a trace and a table of operations.
        watcher: Functions to call during the training.

    Returns:
        The run folder, the metrics of every epoch, and the duration of this call.

    Raises:
        RunError: There is no unfinished run of this name, or it is finished.
        OutputError: Another process trains it, or its store has changed.
    """
    path, many = Path(run), process_notes(gpus, processes)
    training = read_unfinished(path, _device(device, processes), profile, many)
    asked = {"resume": path, "device": device, "gpus": gpus, "processes": processes, "profile": profile}
    command = partial(command_line, asked, resume_pretraining)
    check_gpus(gpus, command())
    return train(training, watcher, command)


@notes_choices
def estimate_pretraining(
    *,
    method: str,
    data: PathLike | None = None,
    preset: str = "",
    task: str = "",
    task_settings: Settings = (),
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
    subset: int | None = None,
) -> Estimate:
    """Estimate parameters, memory, steps and time of a training, without training.

    All arguments are those of `pretrain`.

    Args:
        method: Method family.
        data: Store to train on. By default the only store of the current folder.
        preset: Preset of the method.
        task: For a supervised method, task that gives the labels.
        task_settings: Settings of that task.
        epochs: Number of epochs.
        accumulate: Number of parts in which each batch is computed.
        config: YAML file of settings.
        settings: Single settings.
        seed: Seed.
        gpus: Number of GPUs that would train.
        processes: Number of processes that would train.
        device: Device on which a step is timed.
        compile: Compile the step before it is timed.
        all_folds: Also train on fold 10.
        subset: Largest number of training records.

    Returns:
        The estimate. The time is extrapolated from measured steps.
    """
    entry, preset, chosen = configured(method, preset, config, settings, epochs, accumulate)
    options = PretrainOptions(
        preset=preset,
        task_settings=tuple(assignments(task_settings)) if task else (),
        seed=seed,
        device=_device(device, processes),
        compile=compile,
        all_folds=all_folds,
        subset=subset,
    )
    many = process_notes(gpus, processes).get("processes", 1)
    store = Store(the_store(data, f"ecgkit pretrain --method {method}", "--data"))
    return estimate(entry, chosen, store, options, processes=many, task=task_of(task))


def _device(device: str, processes: int) -> str:
    """Return the device; with `processes` and no device named, it is the CPU."""
    return "cpu" if processes and device == "auto" else device
