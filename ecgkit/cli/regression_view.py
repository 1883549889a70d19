"""What ``ecgkit probe`` prints of a regression: each target in its own unit, beside the mean predictor."""

from pathlib import Path
from typing import TYPE_CHECKING

from ecgkit.cli.render import print_table, say, warn
from ecgkit.report.wording import METRICS, bounds, quantity

if TYPE_CHECKING:
    from ecgkit.evaluation.results import ResultRow


def show_targets(row: "ResultRow", folder: Path) -> None:
    """Print a regression's result."""
    first = row.targets[0]
    error = first.metrics["mae"]
    say(
        f"{row.run}: {first.name}, mean absolute error {quantity(error.value)} {first.unit} "
        f"(95 % interval {bounds(error.interval)}) on {first.records} test records, {row.seconds:.1f} s; "
        f"written to {folder}"
    )
    lines = []
    for score in row.targets:
        for name, title in METRICS.items():
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
