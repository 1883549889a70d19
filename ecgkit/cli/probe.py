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
    task: Annotated[str, typer.Option(help="Task, such as ptbxl-super; several joined by commas.")],
    run: Annotated[Path | None, typer.Argument(help="Run folder of a pretrained model.")] = None,
    method: Annotated[str, typer.Option(help="Instead of a run: a method family, with one of the next two.")] = "",
    random_init: Annotated[bool, typer.Option("--random-init", help="Probe the untrained encoder.")] = False,
    scratch: Annotated[bool, typer.Option("--scratch", help="Train the encoder on the task's labels.")] = False,
    preset: PresetOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    head: Annotated[str, typer.Option(help="What is put on the features.")] = "linear",
    leads: Annotated[
        str, typer.Option(help="Lead sets, a result each: 12,6,3,2,1, limb, I+II, all-single, random:3:20.")
    ] = "",
    prompts: Annotated[Path | None, typer.Option(help="For zero-shot: JSON file, class to prompt.")] = None,
    independent_queries: Annotated[
        bool, typer.Option("--independent-queries", help="For zero-shot: no class sees the others.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of --scratch.")] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the result; default: below the run.")] = None,
) -> None:
    """Judge an encoder by a task: a pretrained run, or a method without pretraining as its baseline.

    The encoder's own contract builds its input from any store. Settings are chosen on validation records; the test
    records are predicted once.
    """
    from ecgkit.entries import HeadEntry, TaskEntry
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.lead_sets import parse_lead_sets
    from ecgkit.evaluation.probe import ProbeOptions, probe, result_folder
    from ecgkit.plugins import host
    from ecgkit.store.reader import Store

    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", "a training from scratch, for nothing else trains for epochs")
    store = Store(data)
    tasks = [host().get(TaskEntry, name.strip()) for name in task.split(",")]
    head_entry = host().get(HeadEntry, head)
    head_config = _zero_shot(head, prompts, independent_queries)
    lead_sets = parse_lead_sets(leads) if leads else (None,)
    cases = [(task_entry, lead_set) for task_entry in tasks for lead_set in lead_sets]
    rows = []
    for task_entry, lead_set in cases:
        # Anew for each: training from scratch changes the encoder.
        subject = _subject(run, method, random_init, scratch, preset, config, settings, seed)
        options = ProbeOptions(head, seed, epochs, device, head_config, lead_set)
        below = run or Path("runs") / subject.name
        folder = result_folder(below, task_entry.name, subject, store, options)
        if out is not None:
            folder = out / folder.name if len(cases) > 1 else out
        say(f"input: {subject.spec}, built from {store.name}" + (f"; leads {lead_set.name}" if lead_set else ""))
        with progress() as watch:
            row = probe(subject, store, task_entry, head_entry, folder, options, watch)
        rows.append(row)
        _show(row, folder)
    if leads:
        groups = [lead_set.group for _, lead_set in cases if lead_set]
        _show_lead_sets(
            rows, groups, (out or below / "probes") / f"leads-{task.replace(',', '-')}-{head}-seed{seed}.png"
        )


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


def _zero_shot(head: str, prompts: Path | None, independent: bool) -> Any:
    """Return the settings of the zero-shot head, or None for another."""
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.heads.zero_shot import ZeroShotConfig

    if head != "zero-shot":
        if prompts or independent:
            raise ConfigError(f"--prompts or --independent-queries with --head {head}", "--head zero-shot")
        return None
    return ZeroShotConfig(prompts, independent)


def _show_lead_sets(rows: "list[ResultRow]", groups: list[str], picture: Path) -> None:
    """Print one line a lead set, means over random subsets, and draw the heat map."""
    from ecgkit.report.lead_matrix import draw_matrix, summarise

    print_table("Leads", [line.as_row() for line in summarise(rows, groups)], numeric=["macro AUROC", "95 %"])
    draw_matrix(rows, picture)
    say(f"heat map: {picture}")


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
            **({} if c.seen is None else {"seen as": c.seen or "unseen"}),
        }
        for c in row.classes
    ]
    print_table(f"{row.task_title}: {row.head} on {row.run}", rows, numeric=["AUROC", "95 %", "AUPRC", "positives"])
    for warning in row.warnings:
        warn(warning)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
