"""The geometry of the report's figures; ``charts.html.j2`` draws them as inline SVG.

Figures have no fixed width. All x positions are in per cent of the width, so that text and markers keep their size on a
phone. SVG curves cannot be given in per cent, so they are points in a square of side `SQUARE` that is stretched.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ecgkit.reporting.elements.section import Plot, Point, Series
from ecgkit.wording import is_number

CHANCE = 0.5
LINE = 20  # px for one result of a class
# Shares of the width that stay free, so that markers at the ends are not cut.
MARGIN = 2.0
SQUARE = 1000
# Markers of about 9 px around 0, 0. Shape and colour change together, so readers need not rely on one of them.
SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",  # circle
    "M-4-4H4V4H-4Z",  # square
    "M0-5.5L5.5 0L0 5.5L-5.5 0Z",  # diamond
    "M0-5L5 4H-5Z",  # triangle
    "M0 5L5-4H-5Z",  # triangle on its tip
)
COLOURS = 6  # of page.css
MOST_MARKED = 25  # largest number of points that all get a marker; on a longer curve only the last does


@dataclass(frozen=True)
class Axis:
    """An axis: ticks as (position in per cent, text)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    margin: float = MARGIN
    log: bool = False

    def at(self, value: float) -> float:
        """Return a value's position in per cent."""
        low, high, v = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return round(self.margin + (100 - 2 * self.margin) * (v - low) / (high - low), 2)


def shape(series: int) -> str:
    """Return the SVG path of a result's marker."""
    return SHAPES[series % len(SHAPES)]


def colour(series: int) -> int:
    """Return the index of a result's colour."""
    return series % COLOURS


@dataclass(frozen=True)
class Mark:
    """The dot of one result: px from the top, per cent from the left. `x` is None if there is no number."""

    series: int
    y: int
    x: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Spot:
    """A point of a curve with its interval; all positions are in per cent from the left and the top."""

    x: float
    y: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Curve:
    """A curve: the pieces between missing values, and the points with a marker."""

    name: str
    number: int
    style: str
    pieces: tuple[str, ...]
    spots: tuple[Spot, ...]

    @property
    def shape(self) -> str:
        """SVG path of the marker."""
        return shape(self.number)

    @property
    def colour(self) -> int:
        """Index of the colour."""
        return colour(self.number)


@dataclass(frozen=True)
class Chart:
    """Curves on their axes."""

    x: Axis
    y: Axis
    curves: tuple[Curve, ...]


def score_axis(values: Iterable[float]) -> Axis:
    """Return an axis for AUROC that ends at 100 and always shows chance level."""
    lowest = min([*values, CHANCE - 0.05])
    low = math.floor(lowest * 10) * 10
    step = 10 if low >= 40 else 20
    axis = Axis(low, 100, ())
    ticks = tuple((axis.at(tick), f"{tick}") for tick in range(100, low - 1, -step)[::-1])
    return Axis(low, 100, ticks)


def mark(axis: Axis, series: int, value: float | None, bounds: tuple[float, float] | None) -> Mark:
    """Place a value from 0 to 1 and its interval on an axis in per cent."""
    x = axis.at(100 * value) if value is not None and is_number(value) else None
    ends = bounds if x is not None and bounds is not None and all(map(is_number, bounds)) else None
    low, high = (axis.at(100 * ends[0]), axis.at(100 * ends[1])) if ends else (None, None)
    return Mark(series, LINE * series + LINE // 2, x, low, high)


def place(plot: Plot) -> Chart | None:
    """Return the positions of a plot's curves, or None if the plot has no numbers."""
    points = [point for series in plot.series for point in series.points if is_number(point.x) and is_number(point.y)]
    if not points:
        return None
    x = _abscissa(plot, [point.x for point in points])
    heights = [v for point in points for v in (point.y, point.low, point.high) if v is not None and is_number(v)]
    y = number_axis(min(heights), max(heights), margin=0)
    if plot.square:
        both = number_axis(min(x.low, y.low), max(x.high, y.high), margin=0)
        x = y = both
    curves, number = [], 0
    for series in plot.series:
        curves.append(_curve(series, number, x, y))
        number += series.style != "reference"
    return Chart(x, y, tuple(curve for curve in curves if curve.spots or curve.pieces))


def _abscissa(plot: Plot, values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    if not plot.log_x or low <= 0:
        return number_axis(low, high, whole=plot.whole_x)
    bounds = (low, high) if high > low else (low / 2, high * 2)
    axis = Axis(*bounds, (), margin=4, log=True)
    ticks = [(axis.at(value), f"{value:,.10g}") for value in _spread_out(axis, sorted(set(values)))]
    return Axis(*bounds, tuple(ticks), margin=4, log=True)


def _spread_out(axis: Axis, values: Sequence[float], apart: float = 13) -> list[float]:
    """Drop values whose labels would overlap; the highest value is kept."""
    kept: list[float] = []
    for value in reversed(values):
        if not kept or axis.at(kept[-1]) - axis.at(value) >= apart:
            kept.append(value)
    return kept[::-1]


def number_axis(low: float, high: float, *, whole: bool = False, margin: float = MARGIN) -> Axis:
    """Return an axis with about five round ticks. Its ends are ticks, unless `whole` is set."""
    span = (high - low) or abs(high) or 1.0
    step = _round_step(span / (6 if whole else 4))
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
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
    """Return the smallest of ..., 0.5, 1, 2, 5, 10, ... that is not below the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _curve(series: Series, number: int, x: Axis, y: Axis) -> Curve:
    pieces: list[list[Spot]] = [[]]
    for point in series.points:
        spot = _spot(point, x, y)
        if spot is None:
            pieces.append([])
        else:
            pieces[-1].append(spot)
    drawn = [piece for piece in pieces if piece]
    scale = SQUARE / 100
    texts = (" ".join(f"{spot.x * scale:.1f},{spot.y * scale:.1f}" for spot in piece) for piece in drawn)
    every = [spot for piece in drawn for spot in piece]
    if series.style == "dots":
        return Curve(series.name, number, series.style, (), tuple(every))
    marked = [] if series.style == "reference" else every if len(every) <= MOST_MARKED else every[-1:]
    return Curve(series.name, number, series.style, tuple(texts), tuple(marked))


def _spot(point: Point, x: Axis, y: Axis) -> Spot | None:
    if point.y is None or not (is_number(point.x) and is_number(point.y)) or (x.log and point.x <= 0):
        return None
    low, high = (round(100 - y.at(v), 2) if v is not None and is_number(v) else None for v in (point.low, point.high))
    return Spot(x.at(point.x), round(100 - y.at(point.y), 2), low, high)
