"""Printed regression results of ``ecgkit probe``: each target in its own unit, beside the mean predictor."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, say, warn
from ecgkit.wording import REGRESSION_METRICS, bounds, quantity

if TYPE_CHECKING:
    from ecgkit.evaluation.results.row import ResultRow


def show_targets(row: "ResultRow", folder: Path) -> None:
    """Print a regression's result."""
    first = row.targets[0]
    error = first.metrics["mae"]
    say(
        f"{row.run}: {first.name}, mean absolute error {quantity(error.value)} {first.unit} "
        f"(95 % {bounds(error.interval)}) on {first.records} test records, {row.seconds:.1f} s"
    )
    say(f"result: {folder}")
    lines = []
    for score in row.targets:
        for name, title in REGRESSION_METRICS.items():
            found, baseline = score.metrics[name], score.baseline.get(name)
            lines.append(
                {
                    "target": score.name,
                    "metric": title.format(unit=score.unit),
                    row.head: quantity(found.value),
                    "95 %": bounds(found.interval),
                    "train mean": quantity(baseline.value if baseline else None),
                }
            )
    print_table(f"{row.task_title}: {row.head} on {row.run}", lines, numeric=list(lines[0])[2:])
    for warning in row.warnings:
        warn(warning)


def show_target_lines(title: str, rows: "Sequence[ResultRow]", names: Sequence[str]) -> None:
    """Print one row per result and target, for several lead sets or several numbers of training records.

    Args:
        title: Heading of the column of names.
        rows: The results.
        names: Name of each result; the column is left out if all names are equal.
    """
    shown = len(set(names)) > 1
    lines = [
        {
            **({title: name} if shown else {}),
            "training records": f"{row.counts['train']['records']:,}",
            "target": f"{score.name} ({score.unit})",
            "MAE": quantity(score.metrics["mae"].value),
            "95 %": bounds(score.metrics["mae"].interval),
            "R²": quantity(score.metrics["r2"].value),
        }
        for name, row in zip(names, rows, strict=True)
        for score in row.targets
    ]
    print_table(
        f"{rows[0].task_title}: {rows[0].head} on {rows[0].run}",
        lines,
        numeric=["training records", "MAE", "95 %", "R²"],
    )
