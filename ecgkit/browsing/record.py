"""One record as the page shows it beside its picture: ids, person, labels, flags, report, R peaks, and its prediction.

A part of the page is a key of the answer of `details`; whatever explains a prediction joins them as a key of its own.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.search import Found
from ecgkit.errors import ConfigError
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN
from ecgkit.recording import Recording

LISTED = ("record_id", "patient_id", "age", "sex", "fold", "labels", "flags")  # columns of the page's table
# Columns that are shown by themselves, or say nothing to a reader.
APART = {*LISTED, "report", "rpeaks", "leads", "sha256", "slot", "amplitude_steps", "amplitude_offsets"}
LONGEST = 400  # characters of a fact


def listed(catalogue: Catalogue, found: Found, start: int, stop: int) -> list[dict[str, Any]]:
    """Return the records of a page of the table.

    Args:
        catalogue: What is shown.
        found: The records that were searched for.
        start: Place of the first.
        stop: Place after the last.
    """
    rows = found.page(start, stop)
    lines = catalogue.records.rows(rows, LISTED)
    for row, line in zip(rows.tolist(), lines, strict=True):
        line["row"] = row
        if found.errors is not None:
            line["error"] = found.errors[row]
    return [{name: readable(value) for name, value in line.items()} for line in lines]


def details(catalogue: Catalogue, row: int, result: str) -> dict[str, Any]:
    """Return everything about a record but its samples and its entities.

    Args:
        catalogue: What is shown.
        row: Row of the store.
        result: Number of the result whose prediction is shown; empty for none.

    Raises:
        ConfigError: There is no such row.
        StoreError: The R peaks of the store are damaged.
    """
    values, shown = record_row(catalogue, row), catalogue.result(result)
    seconds = values["samples"] / values["fs"]
    if values.get("source_leads") == values.get("leads"):
        values.pop("source_leads", None)
    facts = {name: readable(value) for name, value in values.items() if name not in APART}
    return {
        **{name: readable(values.get(name)) for name in LISTED},
        "row": row,
        "seconds": seconds,
        "label_names": [catalogue.code_names.get(code, "") for code in values.get("labels") or ()],
        "report": values.get("report"),
        "facts": [(name, value) for name, value in facts.items() if value not in (None, "", [])],
        "rhythm": _rhythm(*peaks_of(catalogue, row, values), values["fs"]),
        "prediction": None if shown is None else shown.of(row),
    }


def record_row(catalogue: Catalogue, row: int) -> dict[str, Any]:
    """Return a row of the record table.

    Raises:
        ConfigError: There is no such row.
    """
    if not 0 <= row < len(catalogue.records):
        raise ConfigError(f"there is no record in row {row}", f"0 to {len(catalogue.records) - 1}")
    return catalogue.records.rows(np.array([row]))[0]


def entities(catalogue: Catalogue, row: int) -> dict[str, Any]:
    """Return what the report of a record states, as far as an extraction has read it."""
    found = catalogue.entities
    if found is None:
        return {"present": [], "uncertain": [], "complete": False}
    values = found.values[row]
    return {
        "present": [name for name, value in zip(found.names, values, strict=True) if value == PRESENT],
        "uncertain": [name for name, value in zip(found.names, values, strict=True) if value == UNCERTAIN],
        "complete": bool(found.complete[row]),
    }


def peaks_of(catalogue: Catalogue, row: int, values: dict[str, Any]) -> tuple[NDArray[np.int64] | None, str, str]:
    """Return R peaks as sample indices, who found them, and why they are doubtful: found ones, else the dataset's own.

    Raises:
        StoreError: The R peaks of the store are damaged.
    """
    if catalogue.peaks is not None:
        peaks, flag = catalogue.peaks.of(row, str(values["record_id"]))
        return peaks, catalogue.peaks.detector, flag
    own = values.get("rpeaks")
    return (None, "", "") if own is None else (np.asarray(own, np.int64), "the dataset", "")


def _rhythm(peaks: NDArray[np.int64] | None, by: str, flag: str, fs: float) -> dict[str, Any] | None:
    """Return heart rate and RR intervals; None if no R peaks are known."""
    if peaks is None:
        return None
    rr = np.diff(peaks) / fs
    spread = [1000 * float(rr.min()), 1000 * float(rr.max())] if len(rr) else None
    return {
        "by": by,
        "flag": flag,
        "beats": len(peaks),
        "bpm": 60 / float(np.median(rr)) if len(rr) and np.median(rr) > 0 else None,
        "rr_ms": spread,
    }


def missing_share(recording: Recording) -> float:
    """Return the share of the samples of a recording that are missing."""
    return float(np.isnan(recording.signal).mean()) if recording.signal.size else 1.0


def readable(value: Any) -> Any:
    """Return a cell as JSON can hold it: NaN and infinity as None, dates as text, a long text cut."""
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, list | tuple | np.ndarray):
        return [readable(item) for item in value]
    if value is None or isinstance(value, bool | int):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
