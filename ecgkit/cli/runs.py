"""``ecgkit runs``: the runs of a folder; compare, show, tag and delete them."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli import completion
from ecgkit.cli.path_or_command import PathOrCommand
from ecgkit.cli.render import JsonOption, next_is, print_facts, print_json, print_table, say, warn
from ecgkit.errors import RunError
from ecgkit.wording import plural

if TYPE_CHECKING:
    from ecgkit.training.curves import Curves
    from ecgkit.workspace.runs import RunInfo

LEVELS = "▁▂▃▄▅▆▇█"
CURVE = 20  # characters of a curve

app = typer.Typer(cls=PathOrCommand, invoke_without_command=True, no_args_is_help=False)

RunArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Run, by its folder or by its name below runs.", autocompletion=completion.runs),
]
MetricOption = Annotated[str, typer.Option(help="Metric to compare, such as val_loss or train_loss.")]
MethodOption = Annotated[str, typer.Option(help="Only runs of this method family.", autocompletion=completion.methods)]
TagOption = Annotated[str, typer.Option(help="Only runs with this tag.")]


@app.callback()
def runs(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN...",
            help="Run folders, finished or unfinished. Default: all runs in this folder and in runs.",
            autocompletion=completion.runs,
        ),
    ] = None,
    metric: MetricOption = "val_loss",
    out: Annotated[Path | None, typer.Option(help="PNG file to draw the curves into.")] = None,
    method: MethodOption = "",
    tag: TagOption = "",
    state: Annotated[str, typer.Option(help="Only runs that are finished, or only those that are unfinished.")] = "",
    sort: Annotated[
        str, typer.Option(help="Metric to sort by, the best run first. Default: the run that changed last comes last.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List runs, finished or unfinished, and compare their training curves.

    Four more commands: 'runs show RUN', 'runs best', 'runs tag RUN TAG' and 'runs delete RUN'.
    """
    if ctx.invoked_subcommand:
        return
    from ecgkit.workspace.next_step import after_run

    listed = ecgkit.list_runs(paths or ())
    _tell_left_out(paths or [], listed)
    if not listed:
        raise RunError("this folder holds no run", remedy="Make one with: ecgkit pretrain --method METHOD")
    kept: dict[str, Any] = {"method": method, "tag": tag, "state": state, "sort": sort}
    found = ecgkit.compare_runs([run.folder for run in listed], metric=metric, out=out, **kept)
    done = [run for run in listed if run.finished]
    next_is(after_run(done[-1].path) if done else f"ecgkit runs show {listed[-1].path}")
    if as_json:
        print_json([asdict(run) for run in found])
        return
    if not found:
        say(f"none of the {len(listed)} runs is selected")
        return
    _show(found, {run.folder.resolve().name: run for run in listed}, metric)
    if out is not None:
        say(f"drew {out}")


def _tell_left_out(paths: list[Path], found: "list[RunInfo]") -> None:
    """Say which of the given folders are not runs, such as the folders of results that ``runs/*`` names."""
    taken = {path for run in found for path in (run.path.resolve(), run.folder.resolve())}
    others = [str(path) for path in paths if path.resolve() not in taken]
    if others:
        warn(f"left out, because they are not runs: {', '.join(others)}")


def _show(found: "list[Curves]", known: "dict[str, RunInfo]", metric: str) -> None:
    values = [value for run in found for value in run.values(metric)[1]]
    scale = (min(values), max(values)) if values else (0.0, 0.0)
    rows = [_row(run, known.get(run.name), metric, scale) for run in found]
    if not any(row["tags"] for row in rows):
        rows = [{name: cell for name, cell in row.items() if name != "tags"} for row in rows]
    title = f"{metric} by epoch, {scale[0]:.4g} to {scale[1]:.4g}" if values else "no epoch is complete yet"
    print_table(title, rows, numeric=["lowest", "last", "records/s"])


def _row(run: "Curves", about: "RunInfo | None", metric: str, scale: tuple[float, float]) -> dict[str, str]:
    _, values = run.values(metric)
    rate = run.metrics[-1].get("records_per_second") if run.metrics else None
    return {
        "run": run.name,
        "method": run.method,
        "epochs": f"{len(run.metrics)} of {run.epochs}" if run.metrics or not run.finished else "imported",
        "curve": sparkline(values, *scale),
        "lowest": f"{min(values):z.4f}" if values else "-",
        "last": f"{values[-1]:z.4f}" if values else "-",
        "records/s": "-" if rate is None else f"{rate:.0f}",
        "tags": ", ".join(about.tags) if about else "",
    }


def sparkline(values: list[float], low: float, high: float) -> str:
    """Draw values in one line of at most `CURVE` characters, on a scale that several lines share."""
    if len(values) > CURVE:
        step = (len(values) - 1) / (CURVE - 1)
        values = [values[round(i * step)] for i in range(CURVE)]
    span = (high - low) or 1.0
    return "".join(LEVELS[round((value - low) / span * (len(LEVELS) - 1))] for value in values)


@app.command("show")
def show(run: RunArgument, as_json: JsonOption = False) -> None:
    """Show one run: method, state, validation loss, store, the runs that it builds on, and its tags."""
    from ecgkit.training.unfinished import resume_command
    from ecgkit.workspace.next_step import after_run

    found = ecgkit.show_run(run)
    next_is(after_run(found.path) if found.finished else resume_command(found.path))
    if as_json:
        print_json(asdict(found))
    else:
        print_facts(str(found.path), run_facts(found))


def run_facts(run: "RunInfo") -> dict[str, str]:
    """Return what a run is, for people."""
    last, lowest = run.last("val_loss"), run.lowest("val_loss")
    facts = {
        "method": f"{run.method} {run.preset}".strip(),
        "state": run_state(run),
        "validation loss": "-" if last is None else f"{last:z.4f} in the last epoch, lowest {lowest:z.4f}",
        "store": f"{run.store.get('name', '')} ({run.store.get('dataset', '')})" if run.store else "-",
        "changed": f"{run.ended:%Y-%m-%d %H:%M}",
        "builds on": ", ".join(run.built_on),
        "tags": ", ".join(run.tags),
    }
    return {name: text for name, text in facts.items() if text}


def run_state(run: "RunInfo") -> str:
    """Return how far a run is, such as "unfinished, 3 of 100 epochs"."""
    if run.finished:
        return f"finished, {plural(run.epochs, 'epoch')}" if run.planned else "imported weights"
    at = f"{run.epochs} of {run.planned} epochs"
    return f"in training, {at} ({run.holder})" if run.holder else f"unfinished, {at}"


@app.command("best")
def best(
    metric: MetricOption = "val_loss", method: MethodOption = "", tag: TagOption = "", as_json: JsonOption = False
) -> None:
    """Show the finished run with the best value of a metric in any epoch.

    Losses are best where they are lowest, probe scores where they are highest. Losses of different methods cannot be
    compared, so name a method if there are several.
    """
    from ecgkit.workspace.next_step import after_run

    run, value = ecgkit.best_run(metric=metric, method=method, tag=tag)
    next_is(after_run(run.path))
    if as_json:
        print_json({"run": str(run.path), "metric": metric, "value": value})
    else:
        say(f"{run.path}: {metric} {value:z.4f} ({run.method} {run.preset})")


@app.command("tag")
def tag_run(
    run: RunArgument,
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="Words, such as baseline.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tags instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add tags to a run, or remove them. 'runs --tag TAG' lists the runs with a tag."""
    now = ecgkit.tag_run(run, tags, remove=remove)
    next_is(f"ecgkit runs --tag {now[-1]}" if now else "ecgkit runs")
    if as_json:
        print_json({"run": str(run), "tags": now})
    else:
        say(f"{run}: {', '.join(now) or 'no tags'}")


@app.command("delete")
def delete(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, by folder or by name below runs.", autocompletion=completion.runs),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete runs with the results in their folders, after asking.

    A run that is being trained, or whose weights another run builds on, is not deleted.
    """
    deleted = ecgkit.delete_runs(runs, confirm=(lambda run, results: True) if yes else _ask)
    next_is("ecgkit runs")
    if as_json:
        print_json({"deleted": [str(path) for path in deleted]})
        return
    for path in deleted:
        say(f"deleted {path}")
    if not deleted:
        say("nothing was deleted")


def _ask(run: "RunInfo", results: int) -> bool:
    if not sys.stdin.isatty():
        raise RunError(f"{run.folder} is not deleted, because nobody can be asked", remedy="Add --yes to delete it.")
    what = f"{run.folder} ({run.method} {run.preset}, {run_state(run)}"
    return typer.confirm(f"Delete {what}{f', with {results} results' if results else ''})?", err=True)
