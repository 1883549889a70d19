"""Losses by epoch. Each training is shown once, even if its run has several results."""

from collections.abc import Mapping, Sequence
from typing import Any

from ecgkit.reporting.elements.section import Figure, Plot, Point, Rows, Section, Series, Table
from ecgkit.wording import is_number

CURVES = (("training", "train_loss"), ("validation", "val_loss"))


def training_section(rows: Rows) -> Section | None:
    """Return one figure per training, or None if no row holds one."""
    seen: list[tuple[str, tuple[dict[str, Any], ...]]] = []
    for _, row in rows:
        if row.training and (row.run, row.training) not in seen:
            seen.append((row.run, row.training))
    figures = tuple(loss_figure(run, epochs) for run, epochs in seen)
    return Section("Training", figures) if figures else None


def loss_figure(run: str, epochs: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the losses of a training by epoch, with all its metrics as a table."""
    columns = tuple(dict.fromkeys(name for epoch in epochs for name in epoch))
    table = Table(columns, tuple(tuple(epoch.get(name) for name in columns) for epoch in epochs))
    numbered = [epoch for epoch in epochs if is_number(epoch.get("epoch"))]
    series = tuple(
        Series(
            name,
            tuple(Point(epoch["epoch"], _loss(epoch, key)) for epoch in numbered),
            "dashed" if name == "validation" else "solid",
        )
        for name, key in CURVES
    )
    drawn = tuple(curve for curve in series if any(point.y is not None for point in curve.points))
    if not drawn:
        return Figure(run, "", None, table, "No epoch has a train_loss or a val_loss.")
    said = " and ".join(f"{curve.name} loss, last {_last(curve):.4g}" for curve in drawn)
    return Figure(
        f"{run}: loss by epoch", f"{said}, of {run} by epoch", Plot("epoch", "loss", drawn, whole_x=True), table
    )


def _loss(epoch: Mapping[str, Any], key: str) -> float | None:
    value = epoch.get(key)
    return float(value) if value is not None and is_number(value) else None


def _last(curve: Series) -> float:
    return next(point.y for point in reversed(curve.points) if point.y is not None)
