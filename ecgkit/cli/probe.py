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
    label_counts: Annotated[
        str, typer.Option(help="Numbers of labelled training records, such as 50,100,500: one result each and seed.")
    ] = "",
    label_seeds: Annotated[int, typer.Option(min=1, help="Draws of each of --label-counts.")] = 3,
    task_settings: Annotated[
        list[str] | None, typer.Option("--task-set", help="One setting of the task, such as icd10.count_on=train.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    out: Annotated[Path | None, typer.Option(help="Folder of the result; default: below the run.")] = None,
    layers: Annotated[str, typer.Option(help="Instead: study these layers of the encoder; all, or such as 3,6.")] = "",
    perturb: Annotated[
        str,
        typer.Option(
            help="Instead: disturb the test records: lead-shift=0,10,50ms, lead-off=0,1,3, noise=em,bw,ma:24,12,0dB."
        ),
    ] = "",
) -> None:
    """Judge an encoder by a task: a pretrained run, or a method without pretraining as its baseline.

    With a run, --set changes the head, such as gate=frozen; else head.gate=frozen does, and other keys the model.

    The encoder's own contract builds its input from any store. Settings are chosen on validation records; the test
    records are predicted once.
    """
    from ecgkit.entries import HeadEntry, TaskEntry
    from ecgkit.errors import ConfigError
    from ecgkit.evaluation.heads.settings import head_config
    from ecgkit.evaluation.lead_sets import parse_lead_sets
    from ecgkit.evaluation.probe import ProbeOptions, probe, result_folder
    from ecgkit.plugins import host
    from ecgkit.store.reader import Store

    if epochs is not None and not scratch:
        raise ConfigError("--epochs without --scratch", "a training from scratch, for nothing else trains for epochs")
    store = Store(data)
    tasks = [host().get(TaskEntry, name.strip()) for name in task.split(",")]
    head_entry = host().get(HeadEntry, head)
    of_model, of_head = _share_settings(settings or [], has_run=run is not None)
    if (prompts or independent_queries) and head != "zero-shot":
        raise ConfigError(f"--prompts or --independent-queries with --head {head}", "--head zero-shot")
    of_head += [f"prompts={prompts}"] * bool(prompts) + ["independent=true"] * independent_queries
    chosen = head_config(head_entry, of_head)
    lead_sets = parse_lead_sets(leads) if leads else (None,)
    cases = [(task_entry, lead_set) for task_entry in tasks for lead_set in lead_sets]
    counts = parse_counts(label_counts)
    if len(cases) > 1 and (counts or layers or perturb):
        raise ConfigError(f"{len(cases)} tasks and lead sets with a study", "one task, and one lead set at most")
    rows = []
    for task_entry, lead_set in cases:
        # Anew for each: training from scratch changes the encoder.
        subject = _subject(run, method, random_init, scratch, preset, config, of_model, seed)
        options = ProbeOptions(head, seed, epochs, device, chosen, lead_set, tuple(task_settings or ()))
        if layers or perturb:
            from ecgkit.cli.probe_study import Asked, study

            study(Asked(subject, store, task_entry, head_entry, options, run, out), layers, perturb)
            return
        below = run or Path("runs") / subject.name
        folder = result_folder(below, task_entry.name, subject, store, options)
        if out is not None:
            folder = out / folder.name if len(cases) > 1 else out
        say(f"input: {subject.spec}, built from {store.name}" + (f"; leads {lead_set.name}" if lead_set else ""))
        if counts:
            from ecgkit.evaluation.label_counts import label_curve

            folder = folder if out else folder.with_name(f"{folder.name}-labels")
            with progress() as watch:
                curve = label_curve(
                    subject, store, task_entry, head_entry, folder, counts, seeds=label_seeds, options=options,
                    progress=watch,
                )  # fmt: skip
            _show_curve(curve, folder)
            return
        with progress() as watch:
            row = probe(subject, store, task_entry, head_entry, folder, options, watch)
        rows.append(row)
        _show(row, folder)
    if leads:
        groups = [lead_set.group for _, lead_set in cases if lead_set]
        _show_lead_sets(
            rows, groups, (out or below / "probes") / f"leads-{task.replace(',', '-')}-{head}-seed{seed}.png"
        )


def _share_settings(settings: list[str], *, has_run: bool) -> tuple[list[str], list[str]]:
    """Part settings of the model from those of the head: ``head.KEY=VALUE``, and with a run, all."""
    of_head = [setting.removeprefix("head.") for setting in settings if has_run or setting.startswith("head.")]
    return ([] if has_run else [setting for setting in settings if not setting.startswith("head.")]), of_head


def parse_counts(text: str) -> tuple[int, ...]:
    """Read numbers joined by commas.

    Raises:
        ConfigError: One is no whole number above 0.
    """
    from ecgkit.errors import ConfigError

    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"--label-counts {text!r}", "whole numbers above 0 joined by commas, such as 50,100,500")
    return tuple(sorted({int(part) for part in parts}))


def _show_curve(rows: "list[ResultRow]", folder: Path) -> None:
    from ecgkit.evaluation.label_counts import curve, spread

    shown = []
    for point in curve(rows):
        low, high = spread(point.aurocs) or (None, None)
        shown.append(
            {
                "asked": point.count,
                "records": "-".join(map(str, sorted({min(point.records), max(point.records)}))),
                "seeds": len(point.aurocs),
                "AUROC": _percent(point.mean),
                "lowest": _percent(low),
                "highest": _percent(high),
            }
        )
    first = rows[0]
    print_table(
        f"{first.task_title}: {first.head} on {first.run} by labelled training records", shown, numeric=list(shown[0])
    )
    say(f"{len(rows)} results in {folder}")
    for warning in dict.fromkeys(warning for row in rows for warning in row.warnings if warning.startswith("LEAK")):
        warn(warning)


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
