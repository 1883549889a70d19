"""``ecgkit probe``."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from ecgkit.cli import probe_options as given
from ecgkit.cli.exit_codes import Exit
from ecgkit.cli.probe_roads import refuse_unused
from ecgkit.cli.render import (
    DeviceOption,
    JsonOption,
    SeedOption,
    next_is,
    print_json,
    progress,
    say,
    say_choices,
    warn,
)
from ecgkit.cli.settings import ConfigOption, PresetOption, SetOption
from ecgkit.cli.slurm import Slurm, SlurmSet, SlurmTasks, submit

if TYPE_CHECKING:
    from ecgkit.api.probe import ProbeResults


def probe(
    ctx: typer.Context,
    data: given.Data = None,
    task: given.Task = "",
    run: given.Run = None,
    models: given.Models = "",
    baselines: given.Baselines = False,
    eval_data: given.EvalData = None,
    method: given.Method = "",
    random_init: given.RandomInit = False,
    scratch: given.Scratch = False,
    preset: PresetOption = "",
    config: ConfigOption = None,
    settings: SetOption = None,
    head: given.Head = "linear",
    leads: given.Leads = None,
    prompts: given.Prompts = None,
    independent_queries: given.IndependentQueries = False,
    epochs: given.Epochs = None,
    fraction: given.Fraction = "",
    label_counts: given.LabelCounts = "",
    seeds: given.Seeds = None,
    protocol: given.Protocol = "default",
    splits: given.Splits = None,
    label_set: given.LabelSet = "",
    task_settings: given.TaskSettings = None,
    allow_overlap: given.AllowOverlap = False,
    keep_head: given.KeepHead = True,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    workers: given.Workers = 1,
    gpus: given.Gpus = 0,
    dask: given.Dask = "",
    out: given.Out = None,
    suite: given.Suite = "",
    stores: given.Stores = None,
    jobs: given.Jobs = 1,
    cache: given.Cache = None,
    no_cache: given.NoCache = False,
    layers: given.Layers = "",
    query: given.Query = "",
    perturb: given.Perturb = "",
    slurm: Slurm = False,
    slurm_tasks: SlurmTasks = None,
    slurm_set: SlurmSet = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate an encoder on a task: a pretrained run, or a method without pretraining as the baseline.

    The model's input is built from any store as the run's config describes it. Hyper-parameters are chosen on the
    validation set. The test set is predicted once.

    --models and --baselines make one table of several encoders, on several tasks, with one report.

    With a run, --set changes the head: gate=frozen. Without a run, --set changes the model, and a key that begins with
    head. changes the head: head.gate=frozen. With a run, a key that begins with encoder. changes a setting of the run
    that needs no other weights: encoder.readout=enc_mean.
    """
    of_roads = ("suite", "layers", "query", "perturb", "models", "baselines", "slurm", "slurm_tasks", "slurm_set")
    apart = ("as_json", *of_roads)
    options = {name: value for name, value in ctx.params.items() if name not in apart}
    road = refuse_unused(ctx)
    if road == "suite":
        _suite(suite, as_json, options, (slurm_tasks, slurm_set or []) if slurm else None)
        return
    if road == "models":
        _table(models, baselines, as_json, options)
        return
    _fill_in(options)
    if road in ("layers", "perturb"):
        asked = {"layers": layers, "query": query} if road == "layers" else {"perturb": perturb}
        _analyse(road, as_json, {**options, **asked})
    else:
        _results(as_json, options)


def _fill_in(options: dict[str, Any]) -> None:
    """Put run, store and task into the options where they were not given, and say so."""
    from ecgkit.workspace.fitting import probe_inputs

    untrained = bool(options["method"] or options["random_init"] or options["scratch"])
    found = probe_inputs(options["run"], options["data"], options["task"], untrained=untrained)
    options["run"], options["data"], options["task"] = found
    say_choices()


def _taken(options: Mapping[str, Any], *, without: tuple[str, ...]) -> dict[str, Any]:
    """Return the options without those named; a list option that was not given becomes an empty tuple."""
    lists = ("settings", "task_settings", "leads")
    kept = {name: value for name, value in options.items() if name not in without}
    return {name: value or () if name in lists else value for name, value in kept.items()}


def _results(as_json: bool, options: Mapping[str, Any]) -> None:
    """Probe and print the results; end with exit code 3 if some probes of a grid failed."""
    from ecgkit.api.probe import probe as run_probe
    from ecgkit.cli.probe_show import show_results
    from ecgkit.workspace.next_step import after_results

    with progress() as watch:
        found = run_probe(**_taken(options, without=("stores",)), progress=watch)
    show_results(found)
    if as_json:
        print_json([{"folder": str(folder), **asdict(row)} for folder, row in found.rows])
    next_is(after_results(found.rows[0][0]))
    _end(found)


def _end(found: "ProbeResults") -> None:
    for name, why in found.failed.items():
        warn(f"{name}: {why}")
    if found.failed:
        warn(f"{len(found.failed)} probes failed. Run the same command again to retry them")
        raise typer.Exit(Exit.INCOMPLETE)


def _analyse(road: str, as_json: bool, options: Mapping[str, Any]) -> None:
    """Analyse layers or perturbations, and print the table."""
    from ecgkit.api.analysis import analyse_layers, analyse_perturbations
    from ecgkit.cli.probe_show import show_analysis

    unused = (
        "stores",
        "jobs",
        "workers",
        "gpus",
        "dask",
        "scratch",
        "epochs",
        "fraction",
        "label_counts",
        "seeds",
        "eval_data",
        "keep_head",
    )
    with progress() as watch:
        if road == "layers":
            taken = _taken(options, without=(*unused, "prompts", "independent_queries"))
            found = analyse_layers(**taken, progress=watch)
        else:
            found = analyse_perturbations(**_taken(options, without=unused), progress=watch)
    show_analysis(found)
    next_is("ecgkit report")
    if as_json:
        print_json([{str(name): value for name, value in row.items()} for row in found.table.to_dict("records")])


def _suite(
    name: str, as_json: bool, options: Mapping[str, Any], slurm: tuple[int | None, list[str]] | None = None
) -> None:
    """Run a suite and print its summary, or submit it; end with exit code 3 if some of its probes failed.

    Args:
        name: File or name of the suite.
        as_json: Whether to print the outcome as JSON too.
        options: Options of the command.
        slurm: Tasks and settings of a Slurm array; None to run the suite here.
    """
    from ecgkit.api.suite import open_suite, run_opened, work_left
    from ecgkit.cli.probe_show import show_suite
    from ecgkit.workspace.next_step import after_results

    opened = open_suite(name, options["run"], stores=given.named_paths(options["stores"] or []), out=options["out"])
    for task, store in opened.suite.left_out().items():
        warn(f"{task} is left out: store {store or '(unnamed)'} has no path. Give it with --store NAME=PATH")
    say(f"{opened.title}: results into {opened.out}")
    if slurm:
        submit(opened.out, work_left(opened), *slurm, as_json=as_json)
        return
    with progress() as watch:
        kept = {name: options[name] for name in ("jobs", "device", "workers", "gpus", "dask", "cache", "no_cache")}
        result = run_opened(opened, **kept, progress=watch)
    show_suite(result, opened.title)
    next_is(after_results(opened.out))
    if as_json:
        results = [{"folder": str(folder), **asdict(row)} for folder, row in result.rows]
        print_json(
            {"results": results, "done_before": result.skipped, "failed": result.failed, "table": str(result.table)}
        )
    if result.failed:
        raise typer.Exit(Exit.INCOMPLETE)


def _table(models: str, baselines: bool, as_json: bool, options: Mapping[str, Any]) -> None:
    """Make a table of several encoders; end with exit code 3 if some of its probes failed."""
    from ecgkit.api.table import probe_table
    from ecgkit.cli.probe_show import show_suite
    from ecgkit.workspace.next_step import quoted

    of_one = ("run", "stores", "method", "random_init", "scratch", "preset", "config", "epochs")
    named = ",".join(filter(None, [str(options["run"] or ""), models]))
    with progress() as watch:
        made = probe_table(named, baselines=baselines, **_taken(options, without=of_one), progress=watch)
    say_choices()
    show_suite(made.result, f"Results in {made.out}")
    if made.page is not None:
        say(f"report: {made.page}")
        next_is(f"ecgkit report {quoted(made.out)} --md {quoted(made.out / 'table.md')}")
    if as_json:
        print_json(
            {
                "results": [{"folder": str(folder), **asdict(row)} for folder, row in made.result.rows],
                "done_before": made.result.skipped,
                "failed": made.result.failed,
                "report": str(made.page or ""),
            }
        )
    if made.result.failed:
        raise typer.Exit(Exit.INCOMPLETE)
