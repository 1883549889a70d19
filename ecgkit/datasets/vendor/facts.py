"""What ecgdatakit found out about patient, device and ECG, as columns of the record table.

Intervals are in ms, axes in degrees, filters in Hz. ``patient_name`` and ``birth_date`` are among the columns; whether
they go into a store is decided in `ecgkit.datasets.identity`. Names of staff and places are left out.
"""

import re
from datetime import date
from typing import Any

MEASUREMENTS = (
    "heart_rate",
    "rr_interval",
    "pr_interval",
    "qrs_duration",
    "qt_interval",
    "qtc_bazett",
    "qtc_fridericia",
    "p_axis",
    "qrs_axis",
    "t_axis",
)
# Where a file states a value in a form that ecgdatakit keeps as a note: column, and what the note's name says.
_NOTES = (
    ("heart_rate", re.compile(r"heart rate", re.IGNORECASE), re.compile(r"(\d+(?:\.\d+)?)\s*(?:bpm|.*/min)")),
    ("qtc", re.compile(r"(mdc_ecg_time_pd_)?qtc( interval)?", re.IGNORECASE), re.compile(r"(\d+(?:\.\d+)?)\s*ms")),
)


def facts_of(record: Any) -> dict[str, Any]:
    """Return the columns of an `ecgdatakit.ECGRecord`. Those that the file does not state are left out."""
    patient, recording = record.patient, record.recording
    device, filters = recording.device, recording.acquisition.filters
    facts: dict[str, Any] = {
        "patient_name": f"{patient.first_name} {patient.last_name}".strip(),
        "birth_date": _day(patient.birth_date),
        "age": None if patient.age is None or patient.age < 0 else float(patient.age),
        "sex": patient.sex if patient.sex in ("M", "F") else None,
        "height": patient.height,
        "weight": patient.weight,
        "pacemaker": patient.has_pacemaker,
        "acquired": recording.date.isoformat() if recording.date else None,
        "manufacturer": device.manufacturer,
        "device": device.model or device.name,
        "software": device.software_version,
        "highpass": filters.highpass,
        "lowpass": filters.lowpass,
        "notch": filters.notch if filters.notch_active is not False else None,
        "format_version": record.file_format.version,
        **_measurements(record),
        **_statements(record),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def _measurements(record: Any) -> dict[str, float | None]:
    """Return the measurements. An interval or a rate of 0 means that the device could not measure it."""
    stated = {name: getattr(record.measurements, name) for name in MEASUREMENTS}
    values = {
        name: float(value) if value or (value == 0 and name.endswith("axis")) else None
        for name, value in stated.items()
    }
    for column, named, written in _NOTES:
        for note, text in record.annotations.items():
            match = written.match(str(text)) if named.match(note) else None
            if match and not values.get(column) and float(match[1]):
                values[column] = float(match[1])
    return values


def _statements(record: Any) -> dict[str, str]:
    """Return the report, one statement per line, and who made it; a machine's reasons are a column of their own."""
    interpretation = record.interpretation
    pairs = [(" ".join(left.split()), " ".join(right.split())) for left, right in interpretation.statements]
    source = interpretation.source if pairs else ""
    return {
        "report": "\n".join(left for left, _ in pairs if left),
        "report_reasons": "\n".join(right for _, right in pairs if right),
        "report_by": "machine" if source == "machine" else "physician" if source else "",
        "machine_report": record.annotations.get("machine_interpretation", ""),
        "severity": interpretation.severity.lower(),
    }


def _day(value: date | None) -> str | None:
    return value.strftime("%Y-%m-%d") if value else None
