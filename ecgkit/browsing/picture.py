"""Lays out a record on ECG paper for the page, with the layout of the drawn pictures.

The answer is one block of bytes: the length of a JSON text as uint32, the JSON text, and the traces as float32, all
little-endian. Lengths are in mm; a trace is mm above its baseline, NaN for a missing sample.
"""

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.record import missing_share, peaks_of, record_row
from ecgkit.errors import ConfigError
from ecgkit.recording import Recording
from ecgkit.reporting.pictures import ecg_layout
from ecgkit.reporting.pictures.ecg import GRID_LEFT, GRID_WIDTH, ROW_LEFT, duration_note
from ecgkit.reporting.pictures.ecg_layout import MM_PER_SECOND, STRIP_SECONDS, Gain, Panel, Trace

LAYOUTS = ("clinical", "strips")
INDENT = ROW_LEFT - GRID_LEFT  # room for the calibration pulse
ALIGNMENT = 4  # bytes


def picture(catalogue: Catalogue, row: int, layout: str, start: float) -> bytes:
    """Return the picture of a stretch of at most 10 s; the module's docstring describes the bytes.

    Args:
        catalogue: What is shown.
        row: Row of the store.
        layout: ``clinical`` for three rows of four leads and a rhythm strip, ``strips`` for each lead in a row.
        start: First second.

    Raises:
        StoreError: The record differs from its hash, or cannot be read.
        ConfigError: There is no such row or layout, or the record ends before `start`.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"layout {layout!r}", f"one of {', '.join(LAYOUTS)}")
    values = record_row(catalogue, row)
    fs = float(values["fs"])
    seconds = int(values["samples"]) / fs
    if not 0 <= start < seconds:
        raise ConfigError(f"the record has {seconds:g} s, and none at {start:g} s")
    first = min(round(start * fs), int(values["samples"]) - 1)
    shown = catalogue.records.recording(row, first, first + round(STRIP_SECONDS * fs) + 1)
    peaks = peaks_of(catalogue, row, values)[0]
    here = None if peaks is None else peaks[(peaks >= first) & (peaks < first + shown.samples)] - first
    page, traces = laid_out(shown, layout, None if here is None else here / shown.fs)
    page |= {"start": start, "whole": seconds, "note": duration_note(seconds)}
    text = json.dumps(page, allow_nan=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return struct.pack("<I", len(text)) + text + traces.astype("<f4").tobytes()


def laid_out(
    recording: Recording, layout: str, peaks: NDArray[np.float64] | None
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Return the parts of a page, and its traces one after another.

    Args:
        recording: At most 10 s.
        layout: One of `LAYOUTS`.
        peaks: R peaks in s; None if they are not known.
    """
    clinical = ecg_layout.panels_of(recording.leads, recording.seconds)
    panels = clinical if layout == "clinical" else ecg_layout.strips_of(recording.leads)
    traces = [ecg_layout.trace_of(recording, panel) for panel in panels]
    gain = ecg_layout.choose_gain(traces, recording.unit)
    baselines, height = ecg_layout.place_rows(panels, traces, gain)
    parts, pieces, at = [], [], 0
    for panel, trace in zip(panels, traces, strict=True):
        drawn = np.empty(0, np.float32) if trace is None else (trace.y * gain.mm_per_unit).astype(np.float32)
        derived = panel.lead in recording.derived
        parts.append({**_panel(panel, trace, gain), "derived": derived, "offset": at, "samples": len(drawn)})
        pieces.append(drawn)
        at += len(drawn)
    sequential = ecg_layout.is_sequential(recording.seconds) or not any(panel.column for panel in panels)
    page = {
        "width": GRID_WIDTH,
        "height": height,
        "indent": INDENT,
        "baselines": [height - line for line in baselines],
        "mm_per_second": MM_PER_SECOND,
        "mm_per_unit": gain.mm_per_unit,
        "gain": gain.text,
        "has_unit": gain.has_unit,
        "usual": gain.usual,
        "unit": recording.unit,
        "fs": recording.fs,
        "panels": parts,
        "sequential": sequential,
        "missing": missing_share(recording),
        "peaks": None if peaks is None else [float(peak) for peak in peaks],
    }
    return page, np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def _panel(panel: Panel, trace: Trace | None, gain: Gain) -> dict[str, Any]:
    there = trace is not None and bool(np.isfinite(trace.y).any())
    right, up = ecg_layout.label_place(panel, trace, gain)
    return {
        "lead": panel.lead,
        "row": panel.row,
        "column": panel.column,
        "left": panel.left,
        "start": panel.start,
        "seconds": panel.seconds,
        "rhythm": panel.rhythm,
        "label": [right, up],
        "state": "shown" if there else "not recorded" if trace is None else "no samples here",
    }
