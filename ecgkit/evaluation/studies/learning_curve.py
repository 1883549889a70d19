"""Label efficiency: how a probe's scores grow with the number of labelled training records, over several draws each.

The results come from a grid of probes (`ecgkit.evaluation.suites`), whose validation and test parts stay whole.
`ecgkit.evaluation.protocols.draws` states which training records are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.averages import Average, average_over_seeds
from ecgkit.evaluation.results.row import ResultRow


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
