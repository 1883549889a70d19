"""Figures of the analyses of an encoder: lines over layers or levels, and maps of similarity.

Their numbers are written as tables in the same folder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from ecgkit.evaluation.analyses.layers import LayerAnalysis
from ecgkit.evaluation.analyses.query import QueryMap
from ecgkit.reporting.pictures.canvas import INK, QUIET, new_figure, save

COLOURS = ("#1f5fa8", "#c2571a", "#2e7d4f", "#7a4fa3")
MARKERS = ("o", "s", "^", "D")
# Columns of an analysis of perturbations that are drawn if they were measured, with their scale.
STUDIED = {"auroc": (100, "macro AUROC × 100, test"), "loss": (1, "pretraining loss, test")}
# Panels of an analysis of layers: the axis label, and the column of each line.
PANELS = (
    ("macro AUROC of a linear probe", {"val": "val_auroc", "test": "test_auroc"}, 100),
    ("mean cosine between tokens", {"tokens": "similarity"}, 1),
    ("attention entropy (nats)", {"attention": "entropy", "uniform": "entropy_limit"}, 1),
)


def draw_lines(
    axes: Axes, x: Sequence[float], lines: Mapping[str, Sequence[float]], *, x_label: str, y_label: str
) -> None:
    """Draw named lines with markers; colour and marker change together. Lines without numbers are left out."""
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


def plot_layers(analysis: LayerAnalysis, out: Path, *, title: str) -> None:
    """Draw an analysis of layers: AUROC, similarity and entropy by layer, and the similarity map of three layers."""
    has_map = analysis.map is not None
    figure = new_figure(11, 7.2 if has_map else 3.4)
    rows = figure.add_gridspec(1 + has_map, 3, height_ratios=[1, 1.15][: 1 + has_map])
    figure.suptitle(title, fontsize=11, color=INK)
    x = analysis.table["layer"].tolist()
    for place, (label, columns, scale) in enumerate(PANELS):
        axes = figure.add_subplot(rows[0, place])
        lines = {name: (scale * analysis.table[column]).tolist() for name, column in columns.items()}
        draw_lines(axes, x, lines, x_label="layer", y_label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if analysis.map is not None:
        _draw_maps(figure, rows, analysis.map, x)
    save(figure, out)


def _draw_maps(figure: Figure, rows: GridSpec, query: QueryMap, layers: Sequence[int]) -> None:
    shown = sorted({layers[0], layers[len(layers) // 2], layers[-1]})
    panels = [figure.add_subplot(rows[1, place]) for place in range(len(shown))]
    images = [_draw_map(axes, query, layer) for axes, layer in zip(panels, shown, strict=True)]
    bar = figure.colorbar(images[-1], ax=panels, shrink=0.9)
    held = "" if query.seconds is None else f" ({query.seconds[0]:.2f} to {query.seconds[1]:.2f} s)"
    bar.set_label(f"cosine to {query.lead}, token {query.place + 1}{held},\nrecord {query.record}", fontsize=8)


def _draw_map(axes: Axes, query: QueryMap, layer: int) -> AxesImage:
    """Draw the similarity of each lead's tokens to the query in one layer, and mark the query."""
    similarity = query.similarity[layer - 1]
    image = axes.imshow(
        similarity,
        aspect="auto",
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        interpolation="nearest",
        extent=(0.5, similarity.shape[1] + 0.5, len(query.leads) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(query.leads)), query.leads, fontsize=7)
    axes.set(xlabel="token of the lead", title=f"layer {layer}")
    axes.title.set_fontsize(9)
    place = (query.place + 1, query.leads.index(query.lead))
    axes.plot(*place, marker="s", mfc="none", mec=INK, mew=1.2, markersize=7)
    axes.set_facecolor("#d9d9de")  # padding tokens
    return image


def plot_perturbation(table: pd.DataFrame, out: Path, *, title: str, x_label: str) -> None:
    """Draw AUROC and pretraining loss over the level of perturbations, one line per perturbation.

    Disturbance grows to the right. The first row of the table is for the clean records: it is a point of each line if
    its level is a finite number, otherwise a dashed line.
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
