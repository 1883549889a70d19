"""Label efficiency: scores against the number of training records, one curve per model."""

import statistics
from collections.abc import Sequence

from ecgkit.evaluation.results.averages import average_auroc, model_names
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.reporting.elements.names import leads_name
from ecgkit.reporting.elements.section import Figure, Plot, Point, Rows, Section, Series, Table
from ecgkit.wording import is_number, percent

NOTE = (
    "A point of one result has its 95 % interval over test patients. A point of several seeds is their mean, with one "
    "standard deviation up and down where they differ."
)
COLUMNS = ("model", "training records", "training share %", "seed", "auroc", "low", "high")
Model = tuple[str, str, str, str]


def efficiency_section(rows: Rows) -> Section | None:
    """Return one figure for each task with results that differ in their training records, or None."""
    tasks = dict.fromkeys(row.task for _, row in rows)
    figures = [_figure([row for _, row in rows if row.task == task]) for task in tasks]
    found = tuple(figure for figure in figures if figure is not None)
    return Section("Label efficiency", found, NOTE) if found else None


def _figure(rows: Sequence[ResultRow]) -> Figure | None:
    models: dict[Model, list[ResultRow]] = {}
    for row, model in zip(rows, model_names(rows), strict=True):
        if row.macro_auroc is not None and is_number(row.macro_auroc):
            models.setdefault((model, row.weights, row.head, leads_name(row)), []).append(row)
    models = {model: own for model, own in models.items() if len({_share(row) for row in own}) > 1}
    if not models:
        return None
    counted = all(_told_by_records(own) for own in models.values())
    names = _names(list(models))
    series = tuple(_series(name, own, counted) for name, own in zip(names, models.values(), strict=True))
    table = [(name, *_line(row)) for name, own in zip(names, models.values(), strict=True) for row in own]
    unit = "training records" if counted else "share of the training part, %"
    said = "; ".join(f"{s.name} from {_percent_at(s, 0)} to {_percent_at(s, -1)}" for s in series)
    return Figure(
        title=f"{rows[0].task_title}: macro AUROC × 100 by {unit}",
        alt=f"Macro AUROC × 100 by {unit}, from the fewest to the most: {said}",
        chart=Plot(unit, "macro AUROC × 100", series, log_x=True),
        table=Table(COLUMNS, tuple(table)),
    )


def _percent_at(series: Series, at: int) -> str:
    """Return the height of a point as text."""
    return percent((series.points[at].y or 0) / 100)


def _names(models: Sequence[Model]) -> list[str]:
    telling = [len({model[i] for model in models}) > 1 for i in range(4)]
    return [", ".join(part for i, part in enumerate(model) if part and (i == 0 or telling[i])) for model in models]


def _share(row: ResultRow) -> tuple[float, int | None]:
    return row.fraction, row.label_count


def _records(row: ResultRow) -> int | None:
    return row.counts.get("train", {}).get("records")


def _told_by_records(rows: Sequence[ResultRow]) -> bool:
    """Return whether the shares can be distinguished by their numbers of training records."""
    return None not in {_records(row) for row in rows} and len({_records(row) for row in rows}) > 1


def _series(name: str, rows: Sequence[ResultRow], counted: bool) -> Series:
    # Seeds of one share may differ by a few records, because whole patients are drawn.
    shares: dict[tuple[float, int | None], list[ResultRow]] = {}
    for row in rows:
        shares.setdefault(_share(row), []).append(row)
    points = [_point(own, counted) for own in shares.values()]
    return Series(name, tuple(sorted(points, key=lambda point: point.x)))


def _point(rows: Sequence[ResultRow], counted: bool) -> Point:
    x = statistics.fmean(_records(row) or 0 for row in rows) if counted else 100 * rows[0].fraction
    score = average_auroc(rows)
    mean = 100 * (score.value or 0)
    if score.deviation is not None:
        return Point(x, mean, mean - 100 * score.deviation, mean + 100 * score.deviation)
    return Point(x, mean, *(100 * end for end in score.interval)) if score.interval else Point(x, mean)


def _line(row: ResultRow) -> tuple[object, ...]:
    low, high = row.macro_interval or (None, None)
    return _records(row), 100 * row.fraction, row.seed, row.macro_auroc, low, high
