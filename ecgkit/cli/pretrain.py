"""``ecgkit pretrain``."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli import completion
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.render import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    SeedOption,
    print_json,
    print_table,
    say,
    warn,
)
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption
from ecgkit.cli.training_view import training_view

if TYPE_CHECKING:
    from ecgkit.entries import MethodEntry, TaskEntry
    from ecgkit.training.options import PretrainOptions


@dataclass(frozen=True)
class Request:
    """A training as asked for, newly or again.

    Args:
        entry: The family.
        config: Its config.
        data: The store.
        out: The run folder.
        task: Where labels come from, if any.
        options: How to run; its `notes` hold `processes` (how many to start) and the online probe's `task`, `data`.
    """

    entry: "MethodEntry"
    config: Any
    data: Path
    out: Path
    task: "TaskEntry | None"
    options: "PretrainOptions"


def pretrain(
    method: Annotated[
        str, typer.Option(help="Method family; 'ecgkit methods' lists them.", autocompletion=completion.methods)
    ] = "",
    data: Annotated[Path | None, typer.Option(help="A store.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Instead of these: go on with an unfinished run.")] = None,
    preset: PresetOption = "",
    task: Annotated[
        str,
        typer.Option(
            help="For a supervised method: the task whose labels it trains on.", autocompletion=completion.tasks
        ),
    ] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Same as --set recipe.epochs=N.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Same as --set recipe.accumulate=N.")] = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    seed: SeedOption = 0,
    gpus: Annotated[int, typer.Option(min=0, help="Train on so many GPUs of this machine, a process each.")] = 0,
    processes: Annotated[int, typer.Option(min=0, help="Train in so many processes on the CPU.")] = 0,
    shard: Annotated[bool, typer.Option("--shard", help="Spread the model over the processes (FSDP2).")] = False,
    device: DeviceOption = "auto",
    compile: Annotated[
        bool | None, typer.Option("--compile/--no-compile", help="Compile the step; by default on a GPU.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that load batches; by default 1 on a CPU, up to 8 on a GPU.")
    ] = None,
    save_minutes: Annotated[float, typer.Option(min=0.0, help="Minutes between checkpoints.")] = 15.0,
    keep: Annotated[int, typer.Option(min=1, help="How many checkpoints stay.")] = 2,
    probe_task: Annotated[
        str,
        typer.Option(
            help="Probe the model on this task's validation part as it trains.", autocompletion=completion.tasks
        ),
    ] = "",
    probe_data: Annotated[Path | None, typer.Option(help="Store of --probe-task; default: --data.")] = None,
    probe_every: Annotated[int, typer.Option(min=1, help="Epochs between two of these probes.")] = 5,
    all_folds: Annotated[bool, typer.Option("--all-folds", help="Train on fold 10 too, which probes test on.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard's files too.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Write a trace and a table of some steps.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and train nothing.")] = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a method on a store, in one process or many, on CPUs or GPUs.

    Folds 1-8 are trained on and fold 9 is watched; fold 10, which probes test on, stays out. A training that is stopped
    or killed leaves OUT.partial; --resume OUT goes on with it as if nothing had happened.
    """
    many = _processes(gpus, processes)
    if resume is not None:
        _alone(method or data or out or settings or config or preset or task)
        request = _unfinished(resume, device, profile, many)
    else:
        store, run = _described(method, data, out)
        recipe = [f"recipe.{k}={v}" for k, v in (("epochs", epochs), ("accumulate", accumulate)) if v]
        options = {
            "seed": seed, "device": "cpu" if processes and device == "auto" else device, "workers": workers,
            "all_folds": all_folds, "overwrite": overwrite, "shard": shard, "compile": compile,
            "save_minutes": save_minutes, "keep": keep, "tensorboard": tensorboard, "profile": profile,
            "measure_every": probe_every, "notes": {**many, **_probe_notes(probe_task, probe_data or store)},
        }  # fmt: skip
        request = _new(method, preset, config, (settings or []) + recipe, store, run, task, options)
    if dry_run:
        _estimate(request, as_json)
    elif int(request.options.notes.get("processes", 1)) > 1 and not _launched():
        _launch(request)
    else:
        _train(request, as_json)


def _processes(gpus: int, processes: int) -> dict[str, Any]:
    """Return how many processes to start, as a note of the options."""
    from ecgkit.errors import ConfigError

    if gpus and processes:
        raise ConfigError(f"--gpus {gpus} and --processes {processes}", "one or the other")
    return {"processes": gpus or processes} if gpus or processes else {}


def _probe_notes(task: str, data: Path) -> dict[str, Any]:
    """Return what the online probe needs, as notes of the options."""
    from ecgkit.tasks.loading import find_task, task_reference

    return {"probe_task": task_reference(find_task(task)), "probe_data": str(data.resolve())} if task else {}


def _alone(described: object) -> None:
    from ecgkit.errors import ConfigError

    if described:
        raise ConfigError("--resume together with what describes a training", "a run alone: it knows the rest")


def _described(method: str, data: Path | None, out: Path | None) -> tuple[Path, Path]:
    """Return the store and the run folder of a new training."""
    from ecgkit.errors import ConfigError

    if not method or data is None or out is None:
        missing = [n for n, v in (("--method", method), ("--data", data), ("--out", out)) if not v]
        raise ConfigError(f"no {' and no '.join(missing)}", "--method, --data and --out, or --resume RUN")
    return data, out


def _new(
    method: str,
    preset: str,
    config: Path | None,
    assignments: list[str],
    data: Path,
    out: Path,
    task: str,
    options: dict[str, Any],
) -> Request:
    from ecgkit.entries import MethodEntry
    from ecgkit.methods import chosen_config
    from ecgkit.plugins import host
    from ecgkit.tasks.loading import find_task
    from ecgkit.training.options import PretrainOptions

    entry = host().get(MethodEntry, method)
    preset, resolved = chosen_config(entry, preset, config, assignments)
    labels = find_task(task) if task else None
    return Request(entry, resolved, data, out, labels, PretrainOptions(**options, preset=preset))


def _unfinished(run: Path, device: str, profile: bool, notes: dict[str, Any]) -> Request:
    """Read what an unfinished run was started with."""
    from ecgkit.config import build
    from ecgkit.tasks.loading import find_task
    from ecgkit.training.options import PretrainOptions
    from ecgkit.training.run import read_config
    from ecgkit.training.unfinished import RESUME, finished, read_resume, unfinished

    saved = read_resume(run)
    folder = unfinished(finished(run))
    entry, config, _ = read_config(folder)
    task = find_task(saved["task"]) if saved["task"] else None
    options = build(PretrainOptions, saved["options"], source=str(folder / RESUME))
    options = replace(options, resume=True, profile=profile, notes={**options.notes, **notes})
    if device != "auto":
        options = replace(options, device=device)
    return Request(entry, config, Path(saved["store"]), finished(run), task, options)


def _launched() -> bool:
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def _launch(request: Request) -> None:
    """Start the processes, after what can be refused has been refused once."""
    from ecgkit.store.reader import Store
    from ecgkit.training.launch import launch
    from ecgkit.training.run import check_gpus
    from ecgkit.training.unfinished import check_free

    options, processes = request.options, int(request.options.notes["processes"])
    if options.device != "cpu":
        check_gpus(processes)
    check_free(request.out, overwrite=options.overwrite, resume=options.resume)
    Store(request.data)
    try:
        code = launch(processes, sys.argv[1:])
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    if code == Exit.INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise typer.Exit(code)


def _train(request: Request, as_json: bool) -> None:
    from ecgkit.store.reader import Store
    from ecgkit.training.loop import pretrain
    from ecgkit.training.processes import placement
    from ecgkit.training.unfinished import is_unfinished, resume_command, unfinished

    began = time.perf_counter()
    store, out = Store(request.data), request.out
    me = placement(os.environ)
    with _silent() if me and not me.first else training_view(request.config) as watcher:
        if me is None or me.first:
            watcher.measure = _online_probe(request)
        try:
            metrics = pretrain(request.entry, request.config, store, out, request.options, watcher, task=request.task)
        except KeyboardInterrupt:
            if (me is None or me.first) and is_unfinished(unfinished(out)):
                warn(f"stopped; go on with: {resume_command(out)}")
            raise
    if me is None or me.first:
        best = min(metrics, key=lambda m: m["val_loss"])
        say(
            f"{out}: {len(metrics)} epochs in {time.perf_counter() - began:.1f} s, val loss "
            f"{metrics[0]['val_loss']:.4f} -> {metrics[-1]['val_loss']:.4f} "
            f"(lowest {best['val_loss']:.4f} in epoch {best['epoch']})"
        )
        if as_json:
            print_json({"run": str(out), "seconds": time.perf_counter() - began, "epochs": metrics})


@contextmanager
def _silent() -> Iterator[Any]:
    from ecgkit.training.options import Watcher

    yield Watcher()


def _online_probe(request: Request) -> Any:
    """Return the probe that watches the training, or None."""
    notes = request.options.notes
    if "probe_task" not in notes:
        return None
    from ecgkit.evaluation.probe.online import OnlineProbe
    from ecgkit.evaluation.probe.request import ProbeRequest

    asked = ProbeRequest(notes["probe_data"], notes["probe_task"], seed=request.options.seed, cache=None)
    return OnlineProbe(asked, request.entry, request.config)


def _estimate(request: Request, as_json: bool) -> None:
    """Print what the training would take."""
    from ecgkit.store.reader import Store
    from ecgkit.training.estimate import estimate

    processes = int(request.options.notes.get("processes", 1))
    found = estimate(
        request.entry, request.config, Store(request.data), request.options, processes=processes, task=request.task
    )
    cost = found.beginning.cost
    if as_json:
        costs = {name: getattr(cost, name) for name in ("parameters", "trained", "tokens", "flops")}
        times = {name: getattr(found, name) for name in ("memory", "steps", "step_seconds", "seconds")}
        print_json({**costs, **times})
    say(f"input: {request.config.signal}")
    say(str(found.beginning))
    rows = [
        ("parameters", f"{cost.parameters:,} ({cost.trained:,} trained)"),
        ("tokens a record", "-" if cost.tokens is None else f"{cost.tokens:,} before any is dropped"),
        ("FLOPs a record", f"{cost.flops / 1e9:.2f} G, forward and backward"),
        ("memory a process", f"{found.memory / 2**30:.2f} GiB: weights, gradients, moments, graph (estimate)"),
        ("steps", f"{found.steps:,} ({found.beginning.steps:,} an epoch)"),
        ("a step", f"{found.step_seconds:.3f} s in one process, without loading (measured)"),
        ("time", f"{_hours(found.seconds)} of steps (estimate)"),
    ]
    print_table("dry run: nothing was trained", [{"": name, "value": value} for name, value in rows])


def _hours(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
