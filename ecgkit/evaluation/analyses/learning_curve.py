"""Label efficiency: a probe's scores against the number of labelled training records, with several draws each.

The results come from a grid of probes (`ecgkit.evaluation.suites`). Validation and test sets are never reduced.
`ecgkit.evaluation.protocols.draws` states which training records are used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.averages import Average, average_auroc
from ecgkit.evaluation.results.row import ResultRow


@dataclass(frozen=True)
class CurvePoint:
    """The results of all draws of one amount of training records.

    Args:
        asked: The requested amount: ``10 %``, or a number of records.
        records: Number of training records of each draw.
        auroc: Macro AUROC over the draws.
        lowest: Lowest macro AUROC of a draw; None if no draw has one.
        highest: Highest macro AUROC of a draw; None if no draw has one.
    """

    asked: str
    records: tuple[int, ...]
    auroc: Average
    lowest: float | None
    highest: float | None


def curve(rows: Sequence[ResultRow]) -> list[CurvePoint]:
    """Group result rows by the requested amount of training records, in ascending order."""
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
        average_auroc(rows),
        min(known, default=None),
        max(known, default=None),
    )
