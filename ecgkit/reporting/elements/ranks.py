"""The geometry of a critical-difference picture; ``charts.html.j2`` draws it. All x are in per cent, all y in px.

Demšar, Statistical comparisons of classifiers over multiple data sets, J. Mach. Learn. Res. 7:1-30, 2006, figure 1: the
axis of mean ranks, the names of the better half at the left and of the others at the right, and a bar over every set
whose mean ranks differ by less than the critical difference.
"""

import math
from dataclasses import dataclass
from typing import Literal

from ecgkit.reporting.elements.section import Ranks

LEFT, RIGHT = 26.0, 74.0  # the axis; the names stand beside it
TOP, STEP, GROUP = 56, 24, 9  # px: the axis from the top, between names, between bars
BAR = 8  # px from the axis to the first bar


@dataclass(frozen=True)
class Name:
    """A name with the line that leads to its rank: `x` on the axis, `y` and `end` where the name stands."""

    name: str
    rank: float
    x: float
    y: int
    end: float
    anchor: Literal["start", "end"]


@dataclass(frozen=True)
class PlacedRanks:
    """The parts of a picture.

    Args:
        height: Height in px.
        line: The axis in px from the top.
        left: Left end of the axis, rank 1.
        right: Right end of the axis.
        ticks: Positions and texts of the ranks.
        critical: Right end of the bar that shows the critical difference.
        names: The names.
        groups: Left end, right end and height of the bars over sets that cannot be told apart.
    """

    height: int
    line: int
    left: float
    right: float
    ticks: tuple[tuple[float, str], ...]
    critical: float
    names: tuple[Name, ...]
    groups: tuple[tuple[float, float, int], ...]


def place_ranks(chart: Ranks) -> PlacedRanks:
    """Return the positions of a critical-difference picture."""
    count = len(chart.ranks)

    def at(rank: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (rank - 1) / max(1, count - 1), 2)

    first = TOP + BAR + GROUP * len(chart.groups) + STEP
    half = math.ceil(count / 2)
    names = []
    for i, (name, rank) in enumerate(chart.ranks):
        better = i < half
        y = first + STEP * (i if better else count - 1 - i)
        # Names of the better half end at the left of the axis, the others begin at its right.
        names.append(Name(name, rank, at(rank), y, LEFT - 1 if better else RIGHT + 1, "end" if better else "start"))
    groups = tuple((at(low) - 0.5, at(high) + 0.5, TOP + BAR + GROUP * i) for i, (low, high) in enumerate(chart.groups))
    every = max(1, math.ceil(count / 12))
    ticks = tuple((at(rank), f"{rank}") for rank in range(1, count + 1, every))
    critical = min(at(1 + chart.critical), 100.0)
    return PlacedRanks(first + STEP * (half - 1) + 12, TOP, LEFT, RIGHT, ticks, critical, tuple(names), groups)
