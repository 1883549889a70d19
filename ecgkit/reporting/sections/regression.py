"""Predicted numbers: one table per target in its own unit, and predicted against true values of the best result."""

from collections.abc import Sequence

from ecgkit.evaluation.results.averages import Average
from ecgkit.evaluation.results.predictions import has_predictions, predictions_of
from ecgkit.evaluation.results.row import TargetScore
from ecgkit.reporting.elements.section import Figure, HeatMap, Plot, Point, Section, Series, Table
from ecgkit.reporting.tables.regression import BASELINE, TargetLine, TargetTable
from ecgkit.wording import REGRESSION_METRICS, bounds, p_value, quantity

MOST = 600  # largest number of dots in a figure and of lines in its CSV
NOTE = (
    "Numbers are in the unit of the target. Small: the 95 % interval over test patients, or ± one standard deviation "
    "over several seeds. “Alike”: all seeds gave the same number, because nothing was drawn. Behind the best: how much "
    "larger the mean absolute error is on the same records, with its interval and p (paired test over patients, "
    "corrected for the choice of the best). †: not significantly larger at 5 %. Colour: R² from 0 to 1. The train mean "
    "predicts the mean of the training part for every record."
)
BEHIND = "behind the best"


def regression_section(tables: Sequence[TargetTable]) -> Section | None:
    """Return a table and a scatter plot for each predicted number, or None if there is none.

    It is not a registered section: those get only rows, and this one shows tests that a report may leave out.
    """
    drawn = [figure for figure in map(_scatter, tables) if figure is not None]
    return Section("Regression", (*map(_numbers, tables), *drawn), NOTE) if tables else None


def _numbers(table: TargetTable) -> Figure:
    unit, best = table.score.unit, table.best
    compared = any(line.comparison for line in table.lines)
    columns = [title.format(unit=unit) for title in REGRESSION_METRICS.values()] + [f"{BEHIND} ({unit})"] * compared
    lines = [(line.name, line.metrics, line.seeds, _behind(line)) for line in table.lines]
    lines.append((f"{BASELINE}, no model", best.baseline, best.seeds, ""))
    texts = tuple(
        (*(_cell(metrics.get(name), seeds) for name in REGRESSION_METRICS), *[behind] * compared)
        for _, metrics, seeds, behind in lines
    )
    values = tuple(
        tuple(metrics["r2"].value if name == "r2" else None for name in REGRESSION_METRICS) + (None,) * compared
        for _, metrics, _, _ in lines
    )
    errors = [*((line.name, line.metrics["mae"]) for line in table.lines), (BASELINE, best.baseline["mae"])]
    said = "; ".join(f"{who} {quantity(error.value)} {unit}" for who, error in errors)
    note = f"{_of(table.score)}." if table.comparable else "These results were not all scored on the same numbers."
    keys = tuple(table.lines[0].numbers)
    return Figure(
        f"{table.heading}, {unit}",
        f"Mean absolute error of {table.score.name}: {said}",
        HeatMap("result", tuple(label for label, _, _, _ in lines), tuple(columns), values, texts, 0.0, 1.0, wide=True),
        Table(
            ("result", "target", "unit", *keys),
            tuple((line.name, line.score.target, unit, *(line.numbers[key] for key in keys)) for line in table.lines),
        ),
        note,
    )


def _of(score: TargetScore) -> str:
    return f"{score.records:,} test records, {quantity(score.mean)} ± {quantity(score.deviation)} {score.unit}"


def _cell(metric: Average | None, seeds: int) -> str:
    if metric is None:
        return ""
    if metric.deviation is not None:
        return f"{quantity(metric.value)}\n± {quantity(metric.deviation)}, {seeds} results"
    alike = f"{seeds} alike" if seeds > 1 else ""
    below = ", ".join(text for text in (bounds(metric.interval) if metric.interval else "", alike) if text)
    return "\n".join(text for text in (quantity(metric.value), below) if text)


def _behind(line: TargetLine) -> str:
    if line.comparison is None:
        return "lowest error" if line.best else ""
    low, high = line.comparison.difference.interval
    text = quantity(-line.comparison.difference.value) + line.mark
    return f"{text}\n{bounds((-high, -low))}, {p_value(line.comparison.p)}"


def _scatter(table: TargetTable) -> Figure | None:
    """Return a plot of predicted against true values of the best result; None without its predictions."""
    best, unit, name = table.best, table.score.unit, table.score.name
    if not has_predictions(best.path):
        return None
    found = predictions_of(best.path, best.row).only([best.score.target])
    y, p = found.targets[:, 0].astype(float), found.predicted[:, 0]
    records = len(y)
    step = -(-records // MOST)
    y, p = y[::step], p[::step]
    low, high = min(y.min(), p.min()), max(y.max(), p.max())
    dots = tuple(Point(float(true), float(said)) for true, said in zip(y, p, strict=True))
    identity = Series("predicted = true", (Point(float(low), float(low)), Point(float(high), float(high))), "reference")
    r2, mae = best.score.metrics["r2"].value, best.score.metrics["mae"].value
    note = f"The result with the lowest error: {best.name}"
    note += f", the first of its {best.seeds} seeds, {best.row.seed}." if best.seeds > 1 else "."
    if step > 1:
        note += f" Drawn, and in the CSV: {len(y):,} of {records:,} test records, one in {step}."
    return Figure(
        f"{table.title}: predicted against true {name}",
        f"Predicted against true {name} of {len(y):,} test records: mean absolute error {quantity(mae)} {unit}, "
        f"R² {quantity(r2)}; on the line both are the same",
        Plot(
            f"true {name} ({unit})",
            f"predicted {name} ({unit})",
            (identity, Series(best.name, dots, "dots")),
            square=True,
        ),
        Table((f"true ({unit})", f"predicted ({unit})"), tuple((point.x, point.y) for point in dots)),
        note,
    )
