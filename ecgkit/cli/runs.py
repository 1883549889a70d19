"""``ecgkit runs``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import ecgkit
from ecgkit.cli.render import JsonOption, print_json, print_table, say

if TYPE_CHECKING:
    from ecgkit.training.curves import Curves

LEVELS = "▁▂▃▄▅▆▇█"
CURVE = 20  # characters of a curve


def runs(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, finished or unfinished.")],
    metric: Annotated[str, typer.Option(help="Metric to compare, such as val_loss or train_loss.")] = "val_loss",
    out: Annotated[Path | None, typer.Option(help="PNG file to draw the curves into.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the training curves of runs, finished or unfinished."""
    found = ecgkit.compare_runs(paths, metric=metric, out=out)
    if as_json:
        print_json([asdict(run) for run in found])
        return
    values = [value for run in found for value in run.values(metric)[1]]
    if not values:
        say("no epoch is complete yet")
        return
    scale = (min(values), max(values))
    rows = [_row(run, metric, scale) for run in found]
    print_table(f"{metric} by epoch, {scale[0]:.4g} to {scale[1]:.4g}", rows, numeric=["lowest", "last", "records/s"])
    if out is not None:
        say(f"drew {out}")


def _row(run: "Curves", metric: str, scale: tuple[float, float]) -> dict[str, str]:
    _, values = run.values(metric)
    rate = run.metrics[-1].get("records_per_second") if run.metrics else None
    return {
        "run": run.name,
        "method": run.method,
        "epochs": f"{len(run.metrics)} of {run.epochs}",
        "curve": sparkline(values, *scale),
        "lowest": f"{min(values):.4f}" if values else "-",
        "last": f"{values[-1]:.4f}" if values else "-",
        "records/s": "-" if rate is None else f"{rate:.0f}",
    }


def sparkline(values: list[float], low: float, high: float) -> str:
    """Draw values in one line of at most `CURVE` characters, on a scale that several lines share."""
    if len(values) > CURVE:
        step = (len(values) - 1) / (CURVE - 1)
        values = [values[round(i * step)] for i in range(CURVE)]
    span = (high - low) or 1.0
    return "".join(LEVELS[round((value - low) / span * (len(LEVELS) - 1))] for value in values)
