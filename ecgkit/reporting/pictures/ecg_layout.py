"""Computes the positions of the parts of an ECG page in mm: panels, traces, gain and baselines. It draws nothing.

The page is the usual clinical one (Kligfield et al., Recommendations for the standardization and interpretation of
the electrocardiogram, part I, Circulation 115:1306, 2007): 25 mm/s and 10 mm/mV, three rows of four leads that show
2.5 s each, consecutive in time, and below them a rhythm strip of 10 s. One to three leads get one strip each.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import EXTRA_LEADS, STANDARD_LEADS
from ecgkit.recording import Recording

MM_PER_SECOND = 25.0
MM_PER_MV = 10.0
STRIP_SECONDS = 10.0
PANEL_SECONDS = 2.5
COLUMNS = 4
# Up to this many leads, each gets a strip of its own.
MOST_STRIPS = 3
# The last column must show at least 1 s; otherwise all columns show the first 2.5 s.
SEQUENTIAL_SECONDS = 8.5

# Largest deflection that is drawn at 10 mm/mV. Above it the gain is halved, as on ECG machines.
LARGEST_MM = 50.0
LARGEST_MM_WITHOUT_UNIT = 25.0
# Four rows on A4 landscape; see `ecgkit.reporting.pictures.ecg` for the margins.
GRID_MM = 175.0
# Distances from the upper edge to the first baseline, between baselines, and to the lower edge.
USUAL_MM = (25.0, 40.0, 20.0)
LEAST_MM = (20.0, 30.0, 10.0)
CLEARANCE_MM = 4.0
# Possible heights of a label in mm above the baseline, best first; its start, and its size with a margin.
LABEL_HEIGHTS = (9.0, 13.0, 17.0)
LABEL_SHIFTS = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 18.0)
LABEL_LEFT, LETTER_WIDTH, LETTER_HEIGHT = 1.5, 3.0, 3.5


@dataclass(frozen=True)
class Panel:
    """One lead's place on the page.

    Args:
        lead: Canonical name.
        row: Row index from the top.
        start: First second that the panel shows.
        seconds: Length in s; with `MM_PER_SECOND` it gives the width.
        column: Column index from the left.
        rhythm: Whether it is the rhythm strip, which shows the R peaks.
    """

    lead: str
    row: int
    start: float
    seconds: float
    column: int = 0
    rhythm: bool = False

    @property
    def left(self) -> float:
        """Distance from the start of the row in mm."""
        return self.column * self.seconds * MM_PER_SECOND


@dataclass(frozen=True)
class Trace:
    """The part of a lead that a panel shows.

    Args:
        x: ``[T]``, mm from the start of the row.
        y: ``[T]``, in the recording's unit, minus the median of the shown part; NaN for a missing sample.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """The vertical scale.

    Args:
        mm_per_unit: mm per unit of the recording.
        text: Text for the footer.
        has_unit: Whether a calibration pulse of 1 mV can be drawn.
        usual: Whether it is the usual scale, which readers assume.
    """

    mm_per_unit: float
    text: str
    has_unit: bool = True
    usual: bool = True


def is_sequential(seconds: float) -> bool:
    """Return whether the columns are consecutive in time; in a short recording all show the same 2.5 s."""
    return seconds >= SEQUENTIAL_SECONDS


def panels_of(leads: Sequence[str], seconds: float) -> list[Panel]:
    """Return the panels of a page, including those of standard leads that were not recorded."""
    if len(leads) <= MOST_STRIPS:
        return strips_of(leads)
    # Read down a column, then right: I II III, aVR aVL aVF, V1 V2 V3, V4 V5 V6; extra leads fill rows below.
    places = [(lead, i % 3, i // 3) for i, lead in enumerate(STANDARD_LEADS)]
    extra = [lead for lead in EXTRA_LEADS if lead in leads]
    places += [(lead, 3 + i // COLUMNS, i % COLUMNS) for i, lead in enumerate(extra)]
    step = PANEL_SECONDS if is_sequential(seconds) else 0.0
    panels = [Panel(lead, row, column * step, PANEL_SECONDS, column) for lead, row, column in places]
    last = 1 + max(panel.row for panel in panels)
    return [*panels, Panel(rhythm_lead(leads), last, 0, STRIP_SECONDS, rhythm=True)]


def strips_of(leads: Sequence[str]) -> list[Panel]:
    """Return the panels of a page that shows each lead in a strip of its own."""
    marked = rhythm_lead(leads)
    return [Panel(lead, row, 0, STRIP_SECONDS, rhythm=lead == marked) for row, lead in enumerate(leads)]


def rhythm_lead(leads: Sequence[str]) -> str:
    """Return the lead of the rhythm strip: II, or the first lead if there is no II."""
    return "II" if "II" in leads else leads[0]


def trace_of(recording: Recording, panel: Panel) -> Trace | None:
    """Return the trace of a panel, or None if its lead was not recorded.

    The median of the shown part is drawn on the baseline, so that an electrode offset moves no trace out of its row.
    """
    if panel.lead not in recording.leads:
        return None
    first = round(panel.start * recording.fs)
    # One sample more than fits, so that a trace reaches the next column.
    stop = round((panel.start + panel.seconds) * recording.fs) + 1
    y = np.array(recording.signal[recording.leads.index(panel.lead), first:stop], np.float64)
    y[~np.isfinite(y)] = np.nan
    if np.isfinite(y).any():
        y -= np.nanmedian(y)
    return Trace(panel.left + np.arange(len(y)) / recording.fs * MM_PER_SECOND, y)


def choose_gain(traces: Sequence[Trace | None], unit: str) -> Gain:
    """Return 10 mm/mV, or less where the traces would leave the page; without a unit, a scale that fits them."""
    largest = max((_robust_peak(trace.y) for trace in traces if trace is not None), default=0.0)
    if unit == "mV":
        per_mv = MM_PER_MV
        while per_mv * largest > LARGEST_MM:
            per_mv /= 2
        return Gain(per_mv, f"{per_mv:g} mm/mV", usual=per_mv == MM_PER_MV)
    units = _round_up(largest * MM_PER_MV / LARGEST_MM_WITHOUT_UNIT) if largest > 0 else 1.0
    return Gain(MM_PER_MV / units, f"no physical unit: 10 mm per {units:g} {unit}", has_unit=False)


def _robust_peak(y: NDArray[np.float64]) -> float:
    """Return a peak value that is robust against spikes of a few samples."""
    finite = np.abs(y[np.isfinite(y)])
    return float(np.quantile(finite, 0.995)) if len(finite) else 0.0


def _round_up(value: float) -> float:
    """Return the next larger of ..., 0.5, 1, 2, 5, 10, ..."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def place_rows(panels: Sequence[Panel], traces: Sequence[Trace | None], gain: Gain) -> tuple[list[float], float]:
    """Choose the baselines of the rows.

    Their distances from each other and from the edges of the grid fit the traces, and are never below the usual ones.
    A page with columns has a fixed height: distances that do not fit shrink towards their minimum, and then rows may
    overlap. Baselines are on bold grid lines.

    Returns:
        The height of each row's baseline above the lower edge of the grid, from the top row down, and the height of
        the grid, in mm.
    """
    below, above = np.array(_extents(panels, traces, gain)).T
    usual, least = (_distances(*row, len(below)) for row in (USUAL_MM, LEAST_MM))
    needs = np.concatenate([above[:1], below[:-1] + above[1:], below[-1:]]) + CLEARANCE_MM
    distances = np.maximum(needs, usual)
    height = float(5 * np.ceil(distances.sum() / 5))
    if any(panel.column for panel in panels):
        height = max(GRID_MM, float(5 * np.ceil(least.sum() / 5)))
        distances = _fit(distances, least, height)
    distances[[0, -1]] += (height - distances.sum()) / 2
    lines = 5 * np.round((height - np.cumsum(distances)[:-1]) / 5)
    return [float(line) for line in np.clip(lines, 5, height - 5)], height


def _distances(top: float, between: float, bottom: float, rows: int) -> NDArray[np.float64]:
    return np.array([top, *[between] * (rows - 1), bottom])


def _extents(panels: Sequence[Panel], traces: Sequence[Trace | None], gain: Gain) -> list[tuple[float, float]]:
    """Return the extent of each row below and above its baseline, in mm; at least the space of a label."""
    extents = [(5.0, 12.0)] * (1 + max(panel.row for panel in panels))
    for panel, trace in zip(panels, traces, strict=True):
        if trace is not None and np.isfinite(trace.y).any():
            below, above = extents[panel.row]
            low, high = np.nanmin(trace.y) * gain.mm_per_unit, np.nanmax(trace.y) * gain.mm_per_unit
            extents[panel.row] = (min(max(below, -low), LARGEST_MM), min(max(above, high), LARGEST_MM))
    return extents


def _fit(wanted: NDArray[np.float64], least: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    """Shrink the wanted distances, but not below `least`, until they fit into `height`."""
    excess = wanted - least
    room = height - least.sum()
    return wanted if excess.sum() <= room else least + excess * (room / excess.sum())


def gaps_of(trace: Trace) -> list[tuple[float, float]]:
    """Return the stretches of missing samples as (left, right) in mm."""
    missing = np.concatenate([[False], np.isnan(trace.y), [False]])
    edges = np.flatnonzero(missing[1:] != missing[:-1]).reshape(-1, 2)
    return [(float(trace.x[first]), float(trace.x[last - 1])) for first, last in edges]


def label_place(panel: Panel, trace: Trace | None, gain: Gain) -> tuple[float, float]:
    """Return where the trace leaves room for its lead's label: mm from the left of the panel, and above the baseline.

    The label stands above its trace, at the left if there is room, otherwise a little further to the right.
    """
    places = [(LABEL_LEFT + shift, height) for shift in LABEL_SHIFTS for height in LABEL_HEIGHTS]
    return places[0] if trace is None else next((at for at in places if _is_free(at, panel, trace, gain)), places[0])


def _is_free(place: tuple[float, float], panel: Panel, trace: Trace, gain: Gain) -> bool:
    """Return whether a trace does not run through the label of its lead at a place."""
    left, height = panel.left + place[0], place[1]
    inside = (trace.x >= left - LETTER_WIDTH / 2) & (trace.x <= left + LETTER_WIDTH * len(panel.lead))
    near = trace.y[inside] * gain.mm_per_unit
    low, high = np.fmin(near[1:], near[:-1]), np.fmax(near[1:], near[:-1])
    return not np.any((low < height + LETTER_HEIGHT) & (high > height - 1))
