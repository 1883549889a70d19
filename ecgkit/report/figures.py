"""The geometry of the report's figures; ``page.html.j2`` draws them as inline SVG.

Figures have no fixed width. Along x everything is in per cent of it, so that text and markers keep their size on a
phone; curves, which SVG cannot give in per cent, are points in a square of `SQUARE` that is stretched.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ecgkit.report.wording import is_number

CHANCE = 0.5
LINE = 20  # px for one result of a class
# Shares of the width kept free, so that a marker at either end is whole.
MARGIN = 2.0
SQUARE = 1000
# Markers of about 9 px around 0, 0. Shape and colour change together: neither has to be told apart alone.
SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",  # circle
    "M-4-4H4V4H-4Z",  # square
    "M0-5.5L5.5 0L0 5.5L-5.5 0Z",  # diamond
    "M0-5L5 4H-5Z",  # triangle
    "M0 5L5-4H-5Z",  # triangle on its tip
)
COLOURS = 6  # of page.css


@dataclass(frozen=True)
class Axis:
    """An axis: ticks as (position in per cent, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    margin: float = MARGIN

    def at(self, value: float) -> float:
        """Return a value's position in per cent."""
        return round(self.margin + (100 - 2 * self.margin) * (value - self.low) / (self.high - self.low), 2)


def shape(series: int) -> str:
    """Return the path of a result's marker."""
    return SHAPES[series % len(SHAPES)]


def colour(series: int) -> int:
    """Return the number of a result's colour."""
    return series % COLOURS


@dataclass(frozen=True)
class Mark:
    """One result's dot: px from the top, per cent from the left; no `x` where there is no number."""

    series: int
    y: int
    x: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """A curve: pieces between missing values, and its last point in per cent."""

    name: str
    pieces: tuple[str, ...]
    end: tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """Curves over epochs."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]


def score_axis(values: Iterable[float]) -> Axis:
    """Return an axis for AUROC that ends at 100 and shows chance, whatever the values."""
    lowest = min([*values, CHANCE - 0.05])
    low = math.floor(lowest * 10) * 10
    step = 10 if low >= 40 else 20
    axis = Axis(low, 100, ())
    ticks = tuple((axis.at(tick), f"{tick}") for tick in range(100, low - 1, -step)[::-1])
    return Axis(low, 100, ticks)


def mark(axis: Axis, series: int, value: float | None, bounds: tuple[float, float] | None) -> Mark:
    """Place a share of 1 and its interval on an axis in per cent."""
    x = axis.at(100 * value) if value is not None and is_number(value) else None
    ends = bounds if x is not None and bounds is not None and all(map(is_number, bounds)) else None
    low, high = (axis.at(100 * ends[0]), axis.at(100 * ends[1])) if ends else (None, None)
    return Mark(series, LINE * series + LINE // 2, x, low, high)


def loss_chart(training: Sequence[dict[str, Any]]) -> Chart | None:
    """Return training and validation loss by epoch, or None where the rows hold neither."""
    named = {"training": "train_loss", "validation": "val_loss"}
    points = {
        name: [
            (m["epoch"], m.get(key) if is_number(m.get(key)) else None) for m in training if is_number(m.get("epoch"))
        ]
        for name, key in named.items()
    }
    values = [value for series in points.values() for _, value in series if value is not None]
    if not values:
        return None
    epochs = [epoch for series in points.values() for epoch, _ in series]
    x = number_axis(min(epochs), max(epochs), whole=True)
    y = number_axis(min(values), max(values), margin=0)
    curves = (_curve(name, series, x, y) for name, series in points.items())
    return Chart(x, y, tuple(curve for curve in curves if curve.pieces))


def number_axis(low: float, high: float, *, whole: bool = False, margin: float = MARGIN) -> Axis:
    """Return an axis with about five round ticks; unless `whole`, it ends on ticks."""
    span = (high - low) or abs(high) or 1.0
    step = _round_step(span / 4)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step), math.ceil(high / step)
    if whole:
        first, last = math.ceil(low / step), math.floor(high / step)
        bounds = (low, high) if high > low else (low - 1, high + 1)
    else:
        last = max(last, first + 1)
        bounds = (first * step, last * step)
    axis = Axis(*bounds, (), margin)
    ticks = tuple((axis.at(i * step), f"{i * step:.10g}") for i in range(first, last + 1))
    return Axis(*bounds, ticks, margin)


def _round_step(value: float) -> float:
    """Return the nearest of ..., 0.5, 1, 2, 5, 10, ... from above."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _curve(name: str, points: Sequence[tuple[float, float | None]], x: Axis, y: Axis) -> Curve:
    pieces: list[list[tuple[float, float]]] = [[]]
    for epoch, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((x.at(epoch), 100 - y.at(value)))
    drawn = [piece for piece in pieces if piece]
    scale = SQUARE / 100
    texts = (" ".join(f"{a * scale:.1f},{b * scale:.1f}" for a, b in piece) for piece in drawn)
    return Curve(name, tuple(texts), drawn[-1][-1] if drawn else (0.0, 0.0))
