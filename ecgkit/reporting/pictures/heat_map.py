"""A heat map as a PNG: coloured cells with the text that the report page shows in them."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ecgkit.atomic import atomic_file, check_suffix
from ecgkit.reporting.elements.section import HeatMap

COLOURS = "viridis"
DARK_BELOW = 0.75  # of the colour scale; there the text is white
CELL_WIDTH, CELL_HEIGHT, NARROWEST, DPI = 1.15, 0.42, 4.6, 150  # inches
FONT = "DejaVu Sans"  # comes with matplotlib, so a picture looks the same everywhere


def draw_heat_map(heat: HeatMap, out: Path, *, title: str) -> None:
    """Draw a heat map.

    Args:
        heat: The cells.
        out: A PNG file, which appears complete or not at all.
        title: Lines above it.

    Raises:
        OutputError: `out` has another suffix.
    """
    check_suffix(out, ".png")
    width, height = max(NARROWEST, CELL_WIDTH * len(heat.columns) + 1.6), CELL_HEIGHT * len(heat.lines) + 1.7
    figure = Figure((width, height), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    values = np.array([[np.nan if value is None else value for value in line] for line in heat.values])
    image = axes.imshow(values, cmap=COLOURS, vmin=heat.low, vmax=heat.high, aspect="auto")
    axes.set_xticks(range(len(heat.columns)), heat.columns, fontsize=7, family=FONT)
    axes.set_yticks(range(len(heat.lines)), heat.lines, fontsize=8, family=FONT)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (line, column), value in np.ndenumerate(values):
        dark = (value - heat.low) / (heat.high - heat.low) < DARK_BELOW
        text, color = heat.texts[line][column], "white" if dark else "black"
        axes.text(column, line, text, ha="center", va="center", fontsize=6, family=FONT, color=color)
    figure.suptitle(title, fontsize=8, family=FONT)
    figure.colorbar(image, ax=axes, fraction=0.02).ax.tick_params(labelsize=6)
    with atomic_file(out) as staging:
        FigureCanvasAgg(figure).print_figure(str(staging), format="png")
