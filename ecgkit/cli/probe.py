"""``ecgkit probe``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ecgkit.cli.render import DeviceOption, SeedOption, print_table, progress, say, warn
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption, resolve

if TYPE_CHECKING:
    from ecgkit.evaluation.results import ResultRow
    from ecgkit.evaluation.subject import Subject


def probe(
    data: Annotated[Path, typer.Option(help="A store with labels.")],
    task: Annotated[str, typer.Option(help="Task, such as ptbxl-super.")],
    run: Annotated[Path | None, typer.Argument(help="Run folder of a pretrained model.")] = None,
    method: Annotated[str, typer.Option(help="Instead of a run: a method family, with one of the next two.")] = "",
    random_init: Annotated[bool, typer.Option("--random-init", help="Probe the untrained encoder.")] = False,
    scratch: Annotated[bool, typer.Option("--scratch", help="Train the encoder on the task's labels.")] = False,
    preset: PresetOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    head: Annotated[str, typer.Option(help="What is put on the features.")] = "linear",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of --scratch.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the result; default: below the run.")] = None,
    layers: Annotated[str, typer.Option(help="Instead: study these layers of the encoder; all, or such as 3,6.")] = "",
    perturb: Annotated[
        str, typer.Option(help="Instead: disturb the test records, such as lead-shift=0,10,20,50ms.")
    ] = "",
) -> None:
    """Judge an encoder by a task: a pretrained run, or a method without pretraining as its baseline.

    With a run, --set changes the head, such as gate=frozen; else head.gate=frozen does, and other keys the model.

    The encoder's own contract builds its input from any store. Settings are chosen on validation records; the test
    records are predicted once.
    """
    from ecgkit.entries import HeadEntry, TaskEntry
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.probe import ProbeOptions, head_config, probe, result_folder
    from ecgkit.plugins import host
    from ecgkit.store.reader import Store

    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", "a training from scratch, for nothing else trains for epochs")
    store = Store(data)
    task_entry, head_entry = host().get(TaskEntry, task), host().get(HeadEntry, head)
    of_model, of_head = _share_settings(settings or [], has_run=run is not None)
    subject = _subject(run, method, random_init, scratch, preset, config, of_model, seed)
    options = ProbeOptions(head, seed, epochs, device, head_config(head_entry, of_head))
    if layers or perturb:
        from ecgkit.cli.probe_study import Asked, study

        return study(Asked(subject, store, task_entry, head_entry, options, run, out), layers, perturb)
    folder = out or result_folder(run or Path("runs") / subject.name, task, subject, store, options)
    say(f"input: {subject.spec}, built from {store.name}")
    with progress() as watch:
        row = probe(subject, store, task_entry, head_entry, folder, options, watch)
    return _show(row, folder)


def _share_settings(settings: list[str], *, has_run: bool) -> tuple[list[str], list[str]]:
    """Part settings of the model from those of the head: ``head.KEY=VALUE``, and with a run, all."""
    of_head = [setting.removeprefix("head.") for setting in settings if has_run or setting.startswith("head.")]
    return ([] if has_run else [setting for setting in settings if not setting.startswith("head.")]), of_head


def _subject(
    run: Path | None,
    method: str,
    random_init: bool,
    scratch: bool,
    preset: str,
    config: Path | None,
    settings: list[str] | None,
    seed: int,
) -> "Subject":
    from ecgkit.entries import MethodEntry
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.subject import pretrained_subject, untrained_subject
    from ecgkit.plugins import host

    if run is not None:
        extras: list[Any] = [method, random_init, scratch, preset, config, settings]
        if any(extras):
            raise ConfigError(f"run {run} together with options that build another model", "one or the other")
        return pretrained_subject(run)
    if not method or random_init == scratch:
        found = "both --random-init and --scratch" if random_init and scratch else "no model to probe"
        raise ConfigError(found, "a run folder, or --method with one of --random-init and --scratch")
    entry = host().get(MethodEntry, method)
    weights = "scratch" if scratch else "random-init"
    preset, resolved = resolve(entry, preset, config, settings)
    return untrained_subject(entry, preset, resolved, weights=weights, seed=seed)


def _show(row: "ResultRow", folder: Path) -> None:
    low, high = row.macro_interval or (None, None)
    say(
        f"{row.run}: macro AUROC {_percent(row.macro_auroc)} (95 % interval {_percent(low)} to {_percent(high)}) "
        f"on {row.counts['test']['records']} test records, {row.seconds:.1f} s; written to {folder}"
    )
    rows = [
        {
            "class": c.label,
            "name": c.name,
            "AUROC": _percent(c.auroc),
            "95 %": "-" if c.interval is None else f"{_percent(c.interval[0])} to {_percent(c.interval[1])}",
            "AUPRC": _percent(c.auprc),
            "positives": f"{c.positives} of {c.positives + c.negatives}",
        }
        for c in row.classes
    ]
    print_table(f"{row.task_title}: {row.head} on {row.run}", rows, numeric=["AUROC", "95 %", "AUPRC", "positives"])
    for warning in row.warnings:
        warn(warning)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
