"""``ecgkit pretrain``."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.given import given
from ecgkit.cli.render import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    SeedOption,
    next_is,
    print_facts,
    print_json,
    say,
    say_choices,
    warn,
)
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption
from ecgkit.cli.training_view import training_view
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError
from ecgkit.plugins import host
from ecgkit.wording import duration, plural

if TYPE_CHECKING:
    from ecgkit.api.training import Pretraining
    from ecgkit.training.estimate import Estimate
    from ecgkit.training.options import Watcher

WITH_RESUME = {"resume", "device", "gpus", "processes", "profile", "as_json"}


def pretrain(
    ctx: typer.Context,
    method: Annotated[
        str,
        typer.Option(
            help="Method family. List them with: ecgkit methods", autocompletion=completion.pretrained_methods
        ),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Store to train on. Default: the only store in this folder.", autocompletion=completion.stores
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to write. Default: runs/METHOD-PRESET; if it exists, with -2, -3 and so on."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Unfinished run to continue, with its own settings and store.")
    ] = None,
    preset: PresetOption = "",
    task: Annotated[
        str,
        typer.Option(
            help="For a supervised method, task that gives the labels: a name or a YAML file.",
            autocompletion=completion.tasks,
        ),
    ] = "",
    task_settings: Annotated[
        list[str] | None,
        typer.Option(
            "--task-set",
            help="One setting of the task of --task, or without it of --probe-task, such as entities.name=model. "
            "Repeatable.",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs. Same as --set recipe.epochs=N. Default: the preset's.")
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of parts in which each batch is computed (gradient accumulation). Same as "
            "--set recipe.accumulate=N.",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    gpus: Annotated[
        int, typer.Option(min=0, help="Number of GPUs of this machine to train on, with one process per GPU.")
    ] = 0,
    processes: Annotated[int, typer.Option(min=0, help="Number of processes to train in on the CPU.")] = 0,
    shard: Annotated[bool, typer.Option("--shard", help="Shard the model over the processes (FSDP2).")] = False,
    recompute: Annotated[
        bool,
        typer.Option(
            "--recompute",
            help="Save memory: compute the inner values of transformer blocks again in the backward pass. Takes more "
            "time; the numbers stay the same.",
        ),
    ] = False,
    bucket_mb: Annotated[
        float, typer.Option(min=0.1, help="Size of the buckets in which processes exchange gradients, in MiB.")
    ] = 25.0,
    device: DeviceOption = "auto",
    compile: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile", help="Compile the training step with torch.compile. Default: only on a GPU."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Number of processes that load batches. Default: 1 on a CPU, up to 8 per GPU."),
    ] = None,
    save_minutes: Annotated[float, typer.Option(min=0.0, help="Minutes between checkpoints.")] = 15.0,
    keep: Annotated[int, typer.Option(min=1, help="Number of checkpoints to keep.")] = 2,
    probe_task: Annotated[
        str,
        typer.Option(
            help="Task to probe the model on during training. Only its validation records are used.",
            autocompletion=completion.tasks,
        ),
    ] = "",
    probe_data: Annotated[
        Path | None, typer.Option(help="Store with the labels of --probe-task. Default: the store of --data.")
    ] = None,
    probe_every: Annotated[int, typer.Option(min=1, help="With --probe-task, number of epochs between probes.")] = 5,
    all_folds: Annotated[
        bool,
        typer.Option(
            "--all-folds", help="Also train on fold 10, which is otherwise held out as the test set of probes."
        ),
    ] = False,
    subset: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Largest number of training records, chosen patient by patient from the seed. A smaller subset lies "
            "within a larger one.",
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            help="Logger that follows the training: tensorboard, wandb or mlflow. Repeatable.",
            autocompletion=completion.loggers,
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Profile some steps: write a trace and a table of operations.")
    ] = False,
    view_on_device: Annotated[
        bool | None,
        typer.Option(
            "--view-on-device/--no-view-on-device",
            help="Keep the view in the memory of the device and make batches there. Default: only on a GPU, if the "
            "view takes at most half of its free memory.",
        ),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            help="Read the view in blocks, in random order, and mix the records of 1 GiB of blocks at a time. "
            "Default: only if the view takes more than half of the machine's memory.",
        ),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(
            help="Folder on a disk of this machine. The view, and what is read of a remote store, are copied there."
        ),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="First add what the store lacks: R peaks, and entities read by the lexicon."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate parameters, memory, steps and time without training.")
    ] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pretrain a method on a store, in one process or many, on CPUs or GPUs.

    Pretraining uses folds 1-8 for training and fold 9 for validation. Fold 10 is held out as the test set of probes. If
    the training is stopped or killed, OUT.partial keeps its last checkpoint, and --resume OUT continues from there.
    """
    options = locals()
    if resume is not None:
        _check_alone(ctx)
        arguments = given(ecgkit.resume_pretraining, {**options, "run": resume})
        _train(lambda watcher: ecgkit.resume_pretraining(**arguments, watcher=watcher), as_json)
        return
    options["data"], run = _places(method, preset, data, out, scratch, dry_run=dry_run)
    say_choices()
    if dry_run:
        _show_estimate(ecgkit.estimate_pretraining(**given(ecgkit.estimate_pretraining, options)), as_json)
        return
    arguments = given(ecgkit.pretrain, {**options, "out": run})
    _train(lambda watcher: ecgkit.pretrain(**arguments, watcher=watcher), as_json)


def _check_alone(ctx: typer.Context) -> None:
    """Refuse options that an unfinished run has already set.

    Raises:
        ConfigError: One was given on the command line.
    """
    for parameter in ctx.command.params:
        source = ctx.get_parameter_source(str(parameter.name))
        if parameter.name not in WITH_RESUME and source is not None and source.name == "COMMANDLINE":
            name = parameter.opts[0]
            raise ConfigError(
                f"{name} together with --resume", "", "Leave it out: an unfinished run keeps its settings."
            )


def _places(
    method: str, preset: str, data: Path | None, out: Path | None, scratch: Path | None, *, dry_run: bool
) -> tuple[Path, Path]:
    """Return the store and the run folder of a new training: those that were given, or the defaults.

    Raises:
        ConfigError: No method is given, or the processes of a launcher are given no run folder.
        StoreError: No store is given, and the folder does not hold exactly one.
        OutputError: No run folder is given, and an unfinished run has the name.
    """
    from ecgkit.api.pretrain import run_folder
    from ecgkit.methods import method_config, refuse_pretraining
    from ecgkit.workspace.defaults import the_store

    methods = [name for name, entry in host().entries(MethodEntry).items() if entry.pretrains]
    if not method:
        raise ConfigError("missing --method", f"one of {', '.join(methods)}", "'ecgkit methods' describes them.")
    entry = host().get(MethodEntry, method)
    if not entry.pretrains:
        refuse_pretraining(entry)
    name, _ = method_config(entry, preset)
    store = the_store(data, f"ecgkit pretrain --method {method}", "--data", scratch=scratch)
    return store, Path() if dry_run else run_folder(out, method, name)


def _train(train: "Callable[[Watcher], Pretraining]", as_json: bool) -> None:
    """Train, show the progress, and print the outcome."""
    from ecgkit.training.launch import ProcessError, tells_the_end
    from ecgkit.workspace.next_step import after_run

    if as_json:
        os.environ["ECGKIT_PRETRAIN_AS_JSON"] = "1"  # the processes that may be started leave stdout alone too
    try:
        with training_view() as watcher:
            done = train(watcher)
    except ProcessError as error:
        if error.has_told:
            raise typer.Exit(error.failure.code) from None
        raise
    if tells_the_end():
        _show(done)
        next_is(after_run(done.run))
        if as_json:
            print_json({"run": str(done.run), "seconds": done.seconds, "epochs": done.metrics})


def _show(done: "Pretraining") -> None:
    first, last, best = done.metrics[0], done.metrics[-1], done.best
    say(f"{done.run}: {plural(len(done.metrics), 'epoch')} in {done.seconds:.1f} s")
    say(
        f"validation loss {first['val_loss']:z.4f} -> {last['val_loss']:z.4f}, "
        f"lowest {best['val_loss']:z.4f} in epoch {best['epoch']}"
    )


def _show_estimate(found: "Estimate", as_json: bool) -> None:
    """Print the estimated cost of the training."""
    cost = found.beginning.cost
    if as_json:
        costs = {name: getattr(cost, name) for name in ("parameters", "trained", "tokens", "flops")}
        times = {name: getattr(found, name) for name in ("memory", "steps", "step_seconds", "measured", "seconds")}
        print_json({**costs, **times})
    say(str(found.beginning))
    for line in found.beginning.warnings():
        warn(line)
    rows = {
        "parameters": f"{cost.parameters:,} ({cost.trained:,} trained)",
        "tokens per record": "-" if cost.tokens is None else f"{cost.tokens:,} before any is dropped",
        "FLOPs per record": f"{cost.flops / 1e9:.2f} G, forward and backward",
        "memory per process": f"{found.memory / 2**30:.2f} GiB (estimate)",
        "steps": f"{found.steps:,} ({found.beginning.steps:,} per epoch)",
        "time per step": f"{found.step_seconds:.3f} s in one process, without loading (measured)"
        if found.measured
        else f"at least {found.step_seconds:.1f} s (counted, not measured: at {found.peak / 1e9:,.0f} GFLOP/s)",
        "time of all steps": f"{'' if found.measured else 'at least '}{duration(found.seconds)} (estimate)",
    }
    print_facts("dry run: nothing was trained", rows)
