"""Small figures as PNG: lines over layers or levels, and maps of similarity. What they show stands in tables beside."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ecgkit.atomic import atomic_file
from ecgkit.evaluation.studies.layers import LayerStudy, QueryMap

DPI = 150
INK, QUIET = "#15151a", "#6b6b73"
COLOURS = ("#1f5fa8", "#c2571a", "#2e7d4f", "#7a4fa3")
MARKERS = ("o", "s", "^", "D")
# Columns of a study of perturbations that are drawn where they were measured, with their scale.
STUDIED = {"auroc": (100, "macro AUROC × 100, test"), "loss": (1, "pretraining loss, test")}


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of that size in inches, drawn without a window."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, out: Path) -> None:
    """Write a figure as PNG; it appears whole or not at all."""
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png")


def draw_lines(
    axes: Axes, x: Sequence[float], lines: Mapping[str, Sequence[float]], *, x_label: str, y_label: str
) -> None:
    """Draw named lines with markers; colour and marker change together. Lines without a number are left out."""
    shown = {name: y for name, y in lines.items() if np.isfinite(np.asarray(y, float)).any()}
    for i, (name, y) in enumerate(shown.items()):
        axes.plot(x, y, marker=MARKERS[i % 4], markersize=4, color=COLOURS[i % 4], label=name, linewidth=1.4)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6ea", linewidth=0.7)
    axes.set_axisbelow(True)
    if len(shown) > 1:
        axes.legend(frameon=False, fontsize=8)
    if not shown:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=QUIET)


def plot_layers(study: LayerStudy, out: Path, *, title: str) -> None:
    """Draw a study of layers: AUROC, similarity and entropy by layer, and the query's map at three layers."""
    table = study.table
    figure = new_figure(11, 7.2 if study.map is not None else 3.4)
    rows = figure.add_gridspec(
        2 if study.map is not None else 1, 3, height_ratios=[1, 1.15][: 1 + (study.map is not None)]
    )
    figure.suptitle(title, fontsize=11, color=INK)
    x = table["layer"].tolist()
    for place, (lines, label) in enumerate(
        (
            ({"val": 100 * table["val_auroc"], "test": 100 * table["test_auroc"]}, "macro AUROC of a linear probe"),
            ({"tokens": table["similarity"]}, "mean cosine between tokens"),
            ({"attention": table["entropy"], "uniform": table["entropy_limit"]}, "attention entropy (nats)"),
        )
    ):
        axes = figure.add_subplot(rows[0, place])
        draw_lines(axes, x, {name: values.tolist() for name, values in lines.items()}, x_label="layer", y_label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if study.map is not None:
        _draw_maps(figure, rows, study.map, x)
    save(figure, out)


def _draw_maps(figure: Figure, rows: object, query: QueryMap, layers: Sequence[int]) -> None:
    shown = sorted({layers[0], layers[len(layers) // 2], layers[-1]})
    image = None
    drawn = []
    for place, layer in enumerate(shown):
        axes = figure.add_subplot(rows[1, place])  # type: ignore[index]
        shown_map = query.similarity[layer - 1]
        image = axes.imshow(
            shown_map, aspect="auto", cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest",
            extent=(0.5, shown_map.shape[1] + 0.5, len(query.leads) - 0.5, -0.5),
        )  # fmt: skip
        axes.set_yticks(range(len(query.leads)), query.leads, fontsize=7)
        axes.set(xlabel="token of the lead", title=f"layer {layer}")
        axes.title.set_fontsize(9)
        axes.plot(
            query.place + 1, query.leads.index(query.lead), marker="s", mfc="none", mec=INK, mew=1.2, markersize=7
        )
        axes.set_facecolor("#d9d9de")  # tokens that stand for nothing
        drawn.append(axes)
    if image is not None:
        bar = figure.colorbar(image, ax=drawn, shrink=0.9)
        bar.set_label(f"cosine to {query.lead}, token {query.place + 1}, record {query.record}", fontsize=8)


def plot_perturbation(table: pd.DataFrame, out: Path, *, title: str, x_label: str) -> None:
    """Draw AUROC and pretraining loss over the level of perturbations, a line each; more disturbance to the right.

    The first row is the clean records': a point of each line where its level is a number, else a dashed line to compare
    with.
    """
    measured = [column for column in STUDIED if table[column].notna().any()] or [*STUDIED][:1]
    figure = new_figure(1 + 3.8 * len(measured), 3.2)
    figure.suptitle(title, fontsize=11 if len(measured) > 1 else 8, color=INK)
    clean = table.iloc[0]
    has_place = bool(np.isfinite(clean["level"]))
    names = [name for name in table["perturbation"].unique() if name != clean["perturbation"]]
    for axes, column in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        scale, label = STUDIED[column]
        grid = scale * table.pivot(index="level", columns="perturbation", values=column)
        grid.loc[clean["level"]] = scale * clean[column]
        grid = grid.loc[np.isfinite(grid.index), names or [clean["perturbation"]]]
        lines = {str(name): grid[name].tolist() for name in grid}
        draw_lines(axes, grid.index.tolist(), lines, x_label=x_label, y_label=label)
        if not has_place:
            axes.invert_xaxis()
            axes.axhline(scale * clean[column], color=QUIET, ls="--", linewidth=1, label="clean")
            axes.legend(frameon=False, fontsize=8)
    save(figure, out)
