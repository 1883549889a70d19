"""``ecgkit runs``."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ecgkit.cli.render import JsonOption, print_json, print_table, say

LEVELS = "▁▂▃▄▅▆▇█"
COLUMNS = 40  # of a curve in the terminal


def runs(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, finished or not.")],
    metric: Annotated[str, typer.Option(help="Which curve.")] = "val_loss",
    out: Annotated[Path | None, typer.Option(help="Draw the curves into this .png.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the curves of trainings, finished or not."""
    from ecgkit.errors import RunError
    from ecgkit.training.curves import common_metrics, plot_curves, read_curves

    found = [read_curves(path) for path in paths]
    if as_json:
        print_json([asdict(run) for run in found])
        return
    known = common_metrics(found)
    if metric not in known:
        raise RunError(f"no run has {metric!r}", f"one of {', '.join(known)}" if known else "a run with an epoch done")
    values = [value for run in found for value in run.values(metric)[1]]
    scale = (min(values), max(values))
    print_table(f"{metric} by epoch, {scale[0]:.4g} to {scale[1]:.4g}", [_row(run, metric, scale) for run in found])
    if out is not None:
        plot_curves(found, metric, out)
        say(f"drew {out}")


def _row(run: Any, metric: str, scale: tuple[float, float]) -> dict[str, str]:
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
    """Draw values in one line, at most `COLUMNS` of them, on a scale that several lines share."""
    if len(values) > COLUMNS:
        step = (len(values) - 1) / (COLUMNS - 1)
        values = [values[round(i * step)] for i in range(COLUMNS)]
    span = (high - low) or 1.0
    return "".join(LEVELS[round((value - low) / span * (len(LEVELS) - 1))] for value in values)
