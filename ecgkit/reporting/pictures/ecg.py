"""Draws a recording as a page of an ECG machine, true to scale.

`ecgkit.reporting.pictures.ecg_layout` computes the positions of the parts.

All coordinates are mm on the page, so one unit of the axes is one mm. A page of 12 leads is A4 landscape; the
picture has 6 pixels per mm, so that every grid line falls on whole pixels.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.errors import SignalError
from ecgkit.recording import Recording
from ecgkit.reporting.pictures import ecg_layout
from ecgkit.reporting.pictures.ecg_layout import (
    LABEL_LEFT,
    MM_PER_SECOND,
    PANEL_SECONDS,
    STRIP_SECONDS,
    Gain,
    Panel,
    Trace,
)

# Draws under a panel's trace, given its places on the page in mm.
Under = Callable[[Axes, Panel, NDArray[np.float64], NDArray[np.float64]], None]

PIXELS_PER_MM = 6
MM_PER_INCH = 25.4
POINTS_PER_MM = 72 / MM_PER_INCH
DPI = PIXELS_PER_MM * MM_PER_INCH

# The page, in mm: 297 is the width of A4 landscape, and 22 + 175 + 13 its height.
PAGE_WIDTH = 297.0
GRID_LEFT, GRID_WIDTH = 11.0, 275.0
ROW_LEFT = GRID_LEFT + 15.0  # room for the calibration pulse
HEADER, FOOTER = 22.0, 13.0

PAPER, INK, QUIET = "#ffffff", "#15151a", "#6b6b73"
FINE_GRID, BOLD_GRID = "#fadcdc", "#f0a8a8"
PEAKS, GAP = "#1f5fa8", "#8a8a96"
FONT = "DejaVu Sans"  # comes with matplotlib, so a page looks the same everywhere


def plot_ecg(
    recording: Recording,
    out: Path,
    *,
    title: str = "",
    subtitle: str = "",
    rpeaks: NDArray[np.integer] | None = None,
    band: str = "unfiltered, as stored",
) -> None:
    """Write the page of a recording as a PNG picture.

    Args:
        recording: The recording; only its first 10 s are drawn.
        out: The PNG file; it appears complete or not at all.
        title: First line. All texts are drawn literally.
        subtitle: Second line, such as age, sex and labels.
        rpeaks: R peaks as sample indices; default: those of the recording.
        band: Description of the filtering, for the footer.

    Raises:
        SignalError: The recording has no lead.
    """
    figure = ecg_figure(recording, title=title, subtitle=subtitle, rpeaks=rpeaks, band=band)
    with atomic_file(out) as staging:
        figure.savefig(staging, format="png", dpi=DPI)


def ecg_figure(
    recording: Recording,
    *,
    title: str = "",
    subtitle: str = "",
    rpeaks: NDArray[np.integer] | None = None,
    band: str = "unfiltered, as stored",
    under: Under | None = None,
) -> Figure:
    """Return the page of a recording as a figure of its true size; see `plot_ecg` and `draw_ecg`."""
    figure = Figure(facecolor=PAPER, dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_ecg(axes, recording, title=title, subtitle=subtitle, rpeaks=rpeaks, band=band, under=under)
    # A thousandth of a pixel is added, because the renderer truncates fractions of a pixel.
    width, height = (limits[1] + 1e-3 / PIXELS_PER_MM for limits in (axes.get_xlim(), axes.get_ylim()))
    figure.set_size_inches(width / MM_PER_INCH, height / MM_PER_INCH)
    return figure


def draw_ecg(
    axes: Axes,
    recording: Recording,
    *,
    title: str = "",
    subtitle: str = "",
    rpeaks: NDArray[np.integer] | None = None,
    band: str = "unfiltered, as stored",
    under: Under | None = None,
) -> None:
    """Draw the page of a recording into axes, and set their limits to the page in mm; see `plot_ecg`.

    `under` is called with each panel that has a trace, and the trace in mm of the page, before the trace is drawn.
    """
    if not recording.leads:
        raise SignalError("the recording has no lead", "at least one")
    panels = ecg_layout.panels_of(recording.leads, recording.seconds)
    traces = [ecg_layout.trace_of(recording, panel) for panel in panels]
    gain = ecg_layout.choose_gain(traces, recording.unit)
    baselines, height = ecg_layout.place_rows(panels, traces, gain)
    lines = [FOOTER + line for line in baselines]
    _prepare(axes, height)
    _draw_grid(axes, height)
    for panel, trace in zip(panels, traces, strict=True):
        line = lines[panel.row]
        if under is not None and trace is not None:
            under(axes, panel, ROW_LEFT + trace.x, line + trace.y * gain.mm_per_unit)
        _draw_panel(axes, panel, trace, line, gain, derived=panel.lead in recording.derived)
    _draw_pulses(axes, lines, gain)
    peaks = recording.rpeaks if rpeaks is None else rpeaks
    if peaks is not None:
        _draw_peaks(axes, panels, traces, lines, gain, np.asarray(peaks) / recording.fs)
    _draw_header(axes, height, title, subtitle)
    _draw_footer(axes, recording, gain, band, has_columns=any(panel.column for panel in panels))


def _prepare(axes: Axes, height: float) -> None:
    axes.set_axis_off()
    axes.set(xlim=(0, PAGE_WIDTH), ylim=(0, HEADER + height + FOOTER), aspect="equal")


def _draw_grid(axes: Axes, height: float) -> None:
    """Draw the grid: a line every mm, a bold one every 5 mm."""
    right, top = GRID_LEFT + GRID_WIDTH, FOOTER + height
    fine: list[list[tuple[float, float]]] = []
    bold: list[list[tuple[float, float]]] = []
    for i in range(int(GRID_WIDTH) + 1):
        (fine if i % 5 else bold).append([(GRID_LEFT + i, FOOTER), (GRID_LEFT + i, top)])
    for i in range(int(height) + 1):
        (fine if i % 5 else bold).append([(GRID_LEFT, FOOTER + i), (right, FOOTER + i)])
    for lines, color, width, order in ((fine, FINE_GRID, 0.14, 0.1), (bold, BOLD_GRID, 0.16, 0.2)):
        axes.add_collection(
            LineCollection(lines, colors=color, linewidths=width * POINTS_PER_MM, zorder=order, snap=True),
            autolim=False,
        )


def _draw_panel(axes: Axes, panel: Panel, trace: Trace | None, line: float, gain: Gain, *, derived: bool) -> None:
    """Draw one lead: label, separator from the previous column, trace, and gaps of missing samples."""
    left = ROW_LEFT + panel.left
    if panel.column:
        for low in (-6.0, 3.0):
            axes.plot([left, left], [line + low, line + low + 3], color=QUIET, linewidth=0.2 * POINTS_PER_MM)
    there = trace is not None and bool(np.isfinite(trace.y).any())
    right, up = ecg_layout.label_place(panel, trace, gain)
    _draw_label(axes, panel.lead, left + right, line + up, color=INK if there else QUIET, note="derived" * derived)
    if trace is None or not there:
        text = "not recorded" if trace is None else "no samples here"
        _write(axes, left + LABEL_LEFT, line, text, size=7.5, color=QUIET, style="italic", va="center")
        return
    _draw_trace(axes, trace, line, gain)


def _draw_label(axes: Axes, lead: str, x: float, y: float, *, color: str, note: str) -> None:
    label = _write(axes, x, y, lead, size=10, color=color, weight="bold", zorder=2.5)
    label.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
    if note:
        axes.annotate(
            note,
            (1, 0),
            xycoords=label,
            xytext=(2.5, 2.3),
            textcoords="offset points",
            fontsize=7,
            style="italic",
            color=QUIET,
            family=FONT,
            zorder=2.5,
        ).set_path_effects([withStroke(linewidth=2, foreground=PAPER)])


def _draw_trace(axes: Axes, trace: Trace, line: float, gain: Gain) -> None:
    bottom, top = FOOTER, axes.get_ylim()[1] - HEADER
    for left, right in ecg_layout.gaps_of(trace):
        # The gap of a single missing sample would be too narrow to see.
        place = (ROW_LEFT + left - 0.2, line - 6)
        axes.add_patch(Rectangle(place, right - left + 0.4, 12, facecolor=GAP, alpha=0.22, linewidth=0, zorder=1))
    (drawn,) = axes.plot(
        ROW_LEFT + trace.x,
        line + trace.y * gain.mm_per_unit,
        color=INK,
        linewidth=0.28 * POINTS_PER_MM,
        solid_joinstyle="round",
        zorder=3,
        gid="trace",
    )
    drawn.set_clip_path(Rectangle((GRID_LEFT, bottom), GRID_WIDTH, top - bottom, transform=axes.transData))


def _draw_pulses(axes: Axes, lines: Sequence[float], gain: Gain) -> None:
    """Draw a calibration pulse of 1 mV for 200 ms before each row, unless the recording has no unit."""
    if not gain.has_unit:
        return
    x = GRID_LEFT + np.array([2.5, 5, 5, 10, 10, 12.5])
    up = gain.mm_per_unit * np.array([0, 0, 1, 1, 0, 0])
    for line in lines:
        axes.plot(x, line + up, color=INK, linewidth=0.28 * POINTS_PER_MM, solid_joinstyle="miter", zorder=3)


def _draw_peaks(
    axes: Axes,
    panels: Sequence[Panel],
    traces: Sequence[Trace | None],
    lines: Sequence[float],
    gain: Gain,
    times: NDArray[np.float64],
) -> None:
    """Mark R peaks by small triangles above the rhythm strip, all at one height."""
    for panel, trace in zip(panels, traces, strict=True):
        if panel.rhythm and trace is not None and np.isfinite(trace.y).any():
            shown = times[(times >= 0) & (times <= min(STRIP_SECONDS, trace.x[-1] / MM_PER_SECOND))]
            highest = lines[panel.row] + float(np.nanmax(trace.y)) * gain.mm_per_unit + 2.2
            height = min(highest, axes.get_ylim()[1] - HEADER - 2)
            axes.plot(
                ROW_LEFT + shown * MM_PER_SECOND,
                np.full(len(shown), height),
                linestyle="none",
                marker="v",
                markersize=1.3 * POINTS_PER_MM,
                color=PEAKS,
                markeredgewidth=0,
                zorder=4,
                gid="rpeaks",
            )


def _draw_header(axes: Axes, height: float, title: str, subtitle: str) -> None:
    for text, y, size, weight in ((title, 9.5, 13.0, "bold"), (subtitle, 3.5, 9.0, "normal")):
        line = fit_text(text, GRID_WIDTH, size, weight)
        _write(axes, GRID_LEFT, FOOTER + height + y, line, size=size, weight=weight, va="baseline")


def _draw_footer(axes: Axes, recording: Recording, gain: Gain, band: str, *, has_columns: bool) -> None:
    unit = [recording.unit] if gain.has_unit else []
    text = "     ".join([f"{MM_PER_SECOND:g} mm/s", gain.text, f"{recording.fs:g} Hz", *unit, band])
    _write(axes, GRID_LEFT, FOOTER - 5.5, text, size=8.5, weight="normal" if gain.usual else "bold", va="baseline")
    notes = [duration_note(recording.seconds)]
    if has_columns and not ecg_layout.is_sequential(recording.seconds):
        notes.append(f"every column shows the first {PANEL_SECONDS:g} s")
    notes.append("each trace centred on its median")
    text = "  ·  ".join(notes)
    _write(axes, GRID_LEFT + GRID_WIDTH, FOOTER - 5.5, text, size=7.5, color=QUIET, ha="right", va="baseline")


def duration_note(seconds: float) -> str:
    """Return a text on how much of a recording is shown."""
    whole = f"{seconds:.4g} s" if seconds < 120 else f"{seconds / 60:.4g} min"
    return f"first {STRIP_SECONDS:g} s of {whole}" if seconds > STRIP_SECONDS + 0.05 else f"whole recording, {whole}"


def fit_text(text: str, width: float, size: float, weight: str = "normal") -> str:
    """Return a text that fits on one line of `width` mm, cut if necessary, with only characters of the font."""
    font = get_font(findfont(FontProperties(family=FONT, weight=weight)))
    font.set_size(size, DPI)
    known = font.get_charmap()
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() and ord(c) in known else "\N{WHITE SQUARE}" for c in line)
    widest = width * PIXELS_PER_MM
    if _width(font, line) <= widest:
        return line
    fitting = bisect_right(range(len(line)), widest, key=lambda length: _width(font, line[:length] + "…"))
    return line[: max(0, fitting - 1)].rstrip() + "…"


def _width(font: FT2Font, text: str) -> float:
    """Return the width of a line in pixels; FreeType counts in 64ths."""
    font.set_text(text, 0.0)
    return float(font.get_width_height()[0]) / 64


def _write(axes: Axes, x: float, y: float, text: str, *, size: float, color: str = INK, **style: Any) -> Text:
    """Draw a text literally; a dollar sign does not start a formula."""
    return axes.text(x, y, text, fontsize=size, color=color, family=FONT, parse_math=False, usetex=False, **style)
