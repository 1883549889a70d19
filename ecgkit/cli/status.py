"""``ecgkit status``: what a folder holds."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import ecgkit
from ecgkit.cli.render import JsonOption, next_is, print_json, print_table, say, warn
from ecgkit.wording import percent

if TYPE_CHECKING:
    from ecgkit.workspace.contents import StoreInfo
    from ecgkit.workspace.runs import RunInfo
    from ecgkit.workspace.status import ResultInfo, Status

SHOWN = 10


def status(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to describe. Default: the current folder.")] = Path("."),
    as_json: JsonOption = False,
) -> None:
    """Show the stores, runs and results of a folder, the work that is not finished, and the next command."""
    found = ecgkit.status(folder)
    from ecgkit.cli.project import origins

    sources = origins(context)
    next_is(found.next)
    if as_json:
        print_json(_as_json(found, sources))
    else:
        show_status(found, sources)


def show_status(found: "Status", sources: list[dict[str, str]]) -> None:
    """Print the state of a folder; parts without content are left out."""
    if found.empty:
        say(f"{found.folder.resolve()} holds no store, no run and no result")
    if found.stores:
        print_table("Stores", [_store(store) for store in found.stores], numeric=["records", "labels", "views"])
    for name, reason in found.damaged.items():
        warn(f"{name} cannot be read: {reason}")
    if found.runs:
        _shown("Runs", [_run(run) for run in reversed(found.runs)], "ecgkit runs", ["val. loss"])
    if found.results:
        _shown("Results", [_result(result) for result in found.results], "ecgkit report", ["score"])
    if found.unfinished:
        rows = [
            {
                "unfinished": str(work.out),
                "what": work.what,
                "continue with": f"at work: {work.holder}" if work.holder else work.command or "the same command",
            }
            for work in found.unfinished
        ]
        print_table("Unfinished work", rows)
    if sources:
        print_table("Defaults that are set", sources)


def _shown(title: str, rows: list[dict[str, str]], more: str, numeric: list[str]) -> None:
    """Print the first rows of a table, and the command that shows the others."""
    print_table(title if len(rows) <= SHOWN else f"{title} ({SHOWN} of {len(rows)})", rows[:SHOWN], numeric=numeric)
    if len(rows) > SHOWN:
        say(f"... all of them: {more}")


def _store(store: "StoreInfo") -> dict[str, str]:
    entities = ", ".join(
        str(count) if name == "labels" else f"{name} {count}" for name, count in store.entities.items()
    )
    return {
        "store": store.path.name,
        "dataset": store.dataset,
        "records": str(store.records),
        "labels": f"{len(store.labels)} {store.code_system}" if store.labels else "-",
        "beats": store.beats or "-",
        "entities": entities or "-",
        "views": str(store.views),
    }


def _run(run: "RunInfo") -> dict[str, str]:
    from ecgkit.cli.runs import run_state

    loss = run.last("val_loss")
    return {
        "run": str(run.path),
        "method": f"{run.method} {run.preset}".strip(),
        "state": run_state(run),
        "val. loss": "-" if loss is None else f"{loss:z.4f}",
        **({"tags": ", ".join(run.tags)} if run.tags else {}),
    }


def _result(result: "ResultInfo") -> dict[str, str]:
    score = "-" if result.score is None else f"{result.score:.4g}"
    if result.measure == "macro AUROC":
        score = percent(result.score)
    leads = f", leads {result.leads}" if result.leads else ""
    task = f"{result.task}{leads}"
    return {"run": result.run, "task": task, "head": result.head, "score": score, "of": result.measure}


def _as_json(found: "Status", sources: list[dict[str, str]]) -> dict[str, Any]:
    plain = asdict(found)
    for described, run in zip(plain["runs"], found.runs, strict=True):
        described.pop("metrics")
        described |= {"val_loss": run.last("val_loss"), "lowest_val_loss": run.lowest("val_loss")}
    return {**plain, "defaults": sources}
