"""``ecgkit study``."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.given import given
from ecgkit.cli.probe_options import named_paths
from ecgkit.cli.render import DeviceOption, JsonOption, next_is, print_json, print_table, progress, say, warn
from ecgkit.cli.slurm import Slurm, SlurmSet, SlurmTasks, submit
from ecgkit.wording import DASH

if TYPE_CHECKING:
    from ecgkit.api.study import PlannedCell, StudyPlan, StudyResult


def study(
    file: Annotated[Path, typer.Argument(help="YAML file of the study.")],
    out: Annotated[Path | None, typer.Option(help="Folder of stores, runs and results. Default: studies/NAME.")] = None,
    stores: Annotated[
        list[str] | None,
        typer.Option("--store", help="Path of a store that the file names, as NAME=PATH. Repeatable."),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="full, or tiny: the same grid with small models on simulated ECGs, in minutes.")
    ] = "full",
    jobs: Annotated[
        int, typer.Option(min=1, help="Number of processes of this machine, each of which does one cell at a time.")
    ] = 1,
    device: DeviceOption = "auto",
    gpus: Annotated[
        int, typer.Option(min=0, help="Number of GPUs of this machine to train on, with one process per GPU.")
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Number of processes that load batches. Default: 1 on a CPU, up to 8 per GPU."),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare",
            help="Add to stores that exist what a method needs and they lack: R peaks, and entities read by the "
            "lexicon.",
        ),
    ] = False,
    cache: Annotated[Path | None, typer.Option(help="Folder of the feature cache. Default: below each run.")] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the feature cache.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells with estimated hours and disk, without doing any.")
    ] = False,
    slurm: Slurm = False,
    slurm_tasks: SlurmTasks = None,
    slurm_set: SlurmSet = None,
    as_json: JsonOption = False,
) -> None:
    """Pretrain and probe a grid from one file, and set the numbers beside published ones.

    After a stop, the same command continues: finished cells are kept, and a stopped training continues at its last
    checkpoint. A cell that fails does not stop the others.
    """
    options = {**locals(), "stores": named_paths(stores or [])}
    if slurm and not dry_run:
        from ecgkit.api.study import study_left

        folder, left = study_left(**given(study_left, options))
        submit(folder, left, slurm_tasks, slurm_set or [], as_json=as_json)
        return
    with progress() as watch:
        if dry_run:
            plan = ecgkit.plan_study(**given(ecgkit.plan_study, options), progress=watch)
        else:
            done = ecgkit.study(**given(ecgkit.study, options), say=say, progress=watch)
    if dry_run:
        _show_plan(plan, as_json)
        next_is(f"ecgkit study {shlex.quote(str(file))}" + (f" --scale {scale}" if scale != "full" else ""))
    else:
        _show(done, as_json)


def _show_plan(plan: "StudyPlan", as_json: bool) -> None:
    from dataclasses import asdict

    for name in plan.left_out:
        warn(f"store {name} has no path: what needs it is left out. Give it with --store {name}=PATH")
    rows = [
        {
            "cell": cell.name,
            "results": str(cell.results or ""),
            "state": "done" if cell.done else "",
            "GPU hours": _hours(cell),
            "disk": _size(cell.cost.disk),
        }
        for cell in plan.cells
    ]
    print_table(f"{plan.title}: {len(rows)} cells in {plan.out}", rows, numeric=["results", "GPU hours", "disk"])
    for note in dict.fromkeys(cell.cost.note for cell in plan.cells if cell.cost.note):
        warn(note)
    say(
        f"in all {plan.hours:,.1f} hours on one H100 at 40 % of its peak, and {_size(plan.disk)} with the views; by "
        "arithmetic, without loading, validation and the fit of heads"
    )
    if as_json:
        print_json({**asdict(plan), "hours": plan.hours, "disk": plan.disk})


def _hours(cell: "PlannedCell") -> str:
    hours = cell.cost.hours
    if cell.kind == "store":
        return ""
    return DASH if hours is None else f"{hours:,.2f}" if hours >= 0.01 else "< 0.01"


def _size(size: float | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"


def _show(done: "StudyResult", as_json: bool) -> None:
    """Print the tables; end with exit code 3 if some cells are not done."""
    from dataclasses import asdict

    for name in done.left_out:
        warn(f"store {name} has no path: what needs it is left out. Give it with --store {name}=PATH")
    rows = [
        {
            "table": line.table,
            "encoder": line.encoder,
            "task": line.task,
            "head": line.head,
            "leads": line.leads or "all",
            "labels": line.labels or "all",
            "AUROC": line.auroc or DASH,
            "published": line.published.partition(" (")[0] or DASH,
        }
        for line in done.lines
    ]
    print_table(f"{done.title}: {done.done} of {done.cells} cells are done", rows, numeric=["AUROC", "published"])
    say(f"tables: {done.tables}" + (f", report: {done.page}" if done.page else ""))
    if as_json:
        print_json(asdict(done))
    for name, why in done.failed.items():
        warn(f"{name}: {why}")
    for name in done.waiting:
        warn(f"{name}: not done, because what it needs is not there")
    if done.failed or done.waiting:
        warn("Run the same command again to retry them")
        raise typer.Exit(Exit.INCOMPLETE)
    next_is(f"ecgkit report {shlex.quote(str(done.out / 'results'))}")
