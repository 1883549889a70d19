"""Label efficiency on the page: AUROC by number of labelled training records, over the seeds of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ecgkit.evaluation.label_counts import CurvePoint, curve, spread
from ecgkit.evaluation.results import ResultRow
from ecgkit.report import wording


@dataclass(frozen=True)
class LabelCurve:
    """The curve of one model with one head on one task.

    Args:
        name: Of the model, with its weights and head.
        cells: By count: mean, range and number of seeds as text; a dash where the curve lacks the count.
    """

    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class LabelCurves:
    """The curves of a task.

    Args:
        counts: Labelled training records that were asked for.
        curves: One a model and head.
    """

    counts: tuple[int, ...]
    curves: tuple[LabelCurve, ...]


def label_curves(rows: Iterable[ResultRow]) -> LabelCurves | None:
    """Return the curves of one task's rows; None where no row is of a label count."""
    of: dict[str, list[ResultRow]] = {}
    for row in rows:
        if row.label_count is not None:
            of.setdefault(f"{row.run}, {row.weights}, {row.head}, {row.store}", []).append(row)
    if not of:
        return None
    points = {name: {point.count: point for point in curve(own)} for name, own in of.items()}
    counts = sorted({count for own in points.values() for count in own})
    curves = (LabelCurve(name, _cells(counts, own)) for name, own in points.items())
    return LabelCurves(tuple(counts), tuple(curves))


def _cells(counts: Sequence[int], points: dict[int, CurvePoint]) -> tuple[str, ...]:
    return tuple(_cell(points[count]) if count in points else wording.DASH for count in counts)


def _cell(point: CurvePoint) -> str:
    bounds = spread(point.aurocs)
    seeds = f"{len(point.aurocs)} seed{'s' if len(point.aurocs) != 1 else ''}"
    return f"{wording.percent(point.mean)} ({wording.interval(bounds)}, {seeds})"
