"""Writes what the trainings of a study take into its page, from what the command says.

    ecgkit study examples/studies/NAME.yaml --dry-run --json > plan.json
    python docs/studies/costs.py NAME plan.json

Each number of the table is on the page once, between the two comments; `tests/studies/test_costs.py` compares them with
the arithmetic of `ecgkit.studies.costs`, and counts one model of each study again.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

BEGIN, END = "<!-- costs -->", "<!-- end of costs -->"
COLUMNS = ("training", "runs", "GFLOP per record", "records", "epochs", "GPU hours", "disk in GB")


def block(plan: Mapping[str, Any]) -> str:
    """Return the table of a plan, and its sums, as Markdown."""
    lines = [" | ".join(row) for row in (COLUMNS, ("---",) * len(COLUMNS), *rows(plan["cells"]))]
    return "\n".join([BEGIN, "", *(f"| {line} |" for line in lines), "", sums(plan), "", END])


def rows(cells: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield one row per training; its seeds are runs of one row, and hours and disk are those of all of them."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        if cell["kind"] == "training":
            groups.setdefault(cell["name"].rpartition(", seed ")[0], []).append(cell["cost"])
    for name, costs in groups.items():
        first = costs[0]
        if first["hours"] is None:
            yield (name, str(len(costs)), *("not counted",) * 3, "–", "–")
            continue
        hours, disk = sum(cost["hours"] for cost in costs), sum(cost["disk"] for cost in costs)
        own = (f"{first['flops'] / 1e9:.4g}", f"{first['records']:,}", str(first["epochs"]))
        yield (name, str(len(costs)), *own, written(hours), f"{disk / 1e9:.1f}")


def sums(plan: Mapping[str, Any]) -> str:
    """Return the sums of a plan in words."""
    hours = {kind: _sum(plan, kind, "hours") for kind in ("training", "probes")}
    disk = {kind: _sum(plan, kind, "disk") / 1e9 for kind in ("training", "probes")}
    probes = sum(cell["kind"] == "probes" for cell in plan["cells"])
    return fill(
        f"In all {written(hours['training'])} hours of training, and {written(hours['probes'])} hours for the encoders "
        f"of {probes} cells of probes. On the disk {disk['training']:.1f} GB for runs while they are trained, "
        f"{plan['views'] / 1e9:.1f} GB for views, and {disk['probes']:.1f} GB for features and fine-tuned encoders.",
        120,
    )


def written(hours: float) -> str:
    """Return hours as text, with two digits or more."""
    return f"{hours:.1f}" if hours >= 10 else f"{hours:.2g}"


def _sum(plan: Mapping[str, Any], kind: str, what: str) -> float:
    return sum(cell["cost"][what] or 0.0 for cell in plan["cells"] if cell["kind"] == kind)


def replaced(page: str, text: str) -> str:
    """Return a page with another block."""
    before, _, rest = page.partition(BEGIN)
    return before + text + rest.partition(END)[2]


if __name__ == "__main__":
    name, plan_file = sys.argv[1:]
    path = Path(__file__).parent / f"{name}.md"
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    path.write_text(replaced(path.read_text(encoding="utf-8"), block(plan)), encoding="utf-8")
