"""Label efficiency: how a probe's scores grow with the labelled training records, several draws each.

Validation and test stay whole. `ecgkit.evaluation.protocols.draws` says which training records are used.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ecgkit.atomic import check_output
from ecgkit.errors import TaskError
from ecgkit.evaluation.probe.prepare import prepare_probe
from ecgkit.evaluation.probe.request import ProbeCase, Watch, open_case
from ecgkit.evaluation.probe.run import PreparedProbe
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.evaluation.results.averages import Average, average_over_seeds
from ecgkit.evaluation.results.row import RESULT, ResultRow


@dataclass(frozen=True)
class CurvePoint:
    """What the draws of one amount give.

    Args:
        asked: The amount: ``10 %``, or a number of records.
        records: Number of training records of each draw.
        auroc: Macro AUROC over the draws.
        lowest: The lowest macro AUROC of a draw; None where no draw has one.
        highest: The highest.
    """

    asked: str
    records: tuple[int, ...]
    auroc: Average
    lowest: float | None
    highest: float | None


def learning_curve(
    case: ProbeCase, amounts: Sequence[Amount], *, seeds: int | None = None, progress: Watch | None = None
) -> list[tuple[Path, ResultRow]]:
    """Probe with several amounts of labelled training records, with several seeds each.

    Features of a run are extracted once; an encoder without a run has other weights for every seed, as it has in a
    probe of its own. A count that reaches the whole training part is probed with all of it.

    Args:
        case: What is probed; its `out` is the folder of the results, a folder each.
        amounts: Different ones.
        seeds: How many draws of each amount, from `ProbeOptions.seed` on; None for what the protocol has. They seed
            the head too.
        progress: Called with the stage, units done and in all.

    Returns:
        The folder and row of each amount and seed, by amount.

    Raises:
        TaskError: No amounts, or one twice.
    """
    if not amounts or len(set(amounts)) < len(amounts) or (seeds is not None and seeds < 1):
        asked = ", ".join(amount.name for amount in amounts) or "none"
        raise TaskError(f"amounts of training records: {asked}, with {seeds} seeds", "different ones, and a seed")
    watch = progress or (lambda stage, done, total: None)
    protocol, first = load_protocol(case.options.protocol), case.options.seed
    numbers = {amount: seeds or protocol.draws(amount) for amount in amounts}
    plan = [(amount, seed) for amount, n in numbers.items() for seed in range(first, first + n)]
    found = {}
    out = curve_folder(case)
    prepared: dict[int, PreparedProbe] = {}
    # By seed, for an encoder without a run is made anew for each.
    for done, (amount, seed) in enumerate(sorted(plan, key=lambda step: step[1])):
        watch("draws", done, len(plan))
        key = first if case.model.run else seed
        if key not in prepared:
            prepared = {key: _prepare(case, key, watch)}
        folder = out / f"{amount.name}-seed-{seed}"
        check_output(folder, RESULT, overwrite=True)
        row = prepared[key].run(folder, began=time.perf_counter(), amount=amount, seed=seed, seeds=numbers[amount])
        found[amount, seed] = folder, row
    watch("draws", len(plan), len(plan))
    return [found[step] for step in plan]


def curve_folder(case: ProbeCase) -> Path:
    """Return the folder of a curve's results."""
    if case.out:
        return Path(case.out)
    single = open_case(case).folder
    return single.with_name(f"{single.name}-curve")


def _prepare(case: ProbeCase, seed: int, watch: Watch) -> PreparedProbe:
    options = replace(case.options, seed=seed)
    opened = open_case(replace(case, options=options))
    return prepare_probe(opened.subject, opened.store, opened.task, opened.head, options, watch)


def curve(rows: Sequence[ResultRow]) -> list[CurvePoint]:
    """Gather the rows of a curve by the amount that was asked for, from the least to the most."""
    groups: dict[str, list[ResultRow]] = {}
    for row in sorted(rows, key=lambda row: (row.label_count or 0, row.fraction)):
        asked = f"{100 * row.fraction:g} %" if row.label_count is None else f"{row.label_count:,}"
        groups.setdefault(asked, []).append(row)
    return [_point(asked, own) for asked, own in groups.items()]


def _point(asked: str, rows: Sequence[ResultRow]) -> CurvePoint:
    known = [row.macro_auroc for row in rows if row.macro_auroc is not None]
    return CurvePoint(
        asked,
        tuple(row.counts["train"]["records"] for row in rows),
        average_over_seeds((row.macro_auroc, row.macro_interval) for row in rows),
        min(known, default=None),
        max(known, default=None),
    )
