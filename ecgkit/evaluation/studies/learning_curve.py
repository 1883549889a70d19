"""Label efficiency: how a probe's scores grow with the number of labelled training records, over several draws each.

The results come from a grid of probes (`ecgkit.evaluation.suites`), whose validation and test parts stay whole.
`ecgkit.evaluation.protocols.draws` states which training records are used.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.row import ResultRow


@dataclass(frozen=True)
class CurvePoint:
    """What the draws of one amount give.

    Args:
        asked: The amount: ``10 %``, or a number of records.
        records: Training records that it made, of each draw.
        aurocs: Macro AUROC of each draw; None where no class could be scored.
    """

    asked: str
    records: tuple[int, ...]
    aurocs: tuple[float | None, ...]

    @property
    def known(self) -> list[float]:
        """The scores that there are."""
        return [value for value in self.aurocs if value is not None]

    @property
    def mean(self) -> float | None:
        """Mean over the draws that have a score."""
        return statistics.fmean(self.known) if self.known else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over the draws; None for fewer than two scores."""
        return statistics.stdev(self.known) if len(self.known) > 1 else None


def curve(rows: Sequence[ResultRow]) -> list[CurvePoint]:
    """Gather the rows of a curve by the amount that was asked for, from the least to the most."""
    groups: dict[str, list[ResultRow]] = {}
    for row in sorted(rows, key=lambda row: (row.label_count or 0, row.fraction)):
        asked = f"{100 * row.fraction:g} %" if row.label_count is None else f"{row.label_count:,}"
        groups.setdefault(asked, []).append(row)
    return [
        CurvePoint(asked, tuple(row.counts["train"]["records"] for row in own), tuple(row.macro_auroc for row in own))
        for asked, own in groups.items()
    ]
