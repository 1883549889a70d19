"""Read EDF, EDF+, BDF and BDF+ with edfio: exact rates, a rate per channel, and 24-bit samples.

https://www.edfplus.info/specs/edf.html and edfplus.html. A file with gaps (EDF+D) has the times of its data records in
its annotations; ecgdatakit reads these, and the gaps are filled with missing samples.
"""

import re
import warnings
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.vendor import kinds
from ecgkit.datasets.vendor.contents import Channel, Contents
from ecgkit.datasets.vendor.kinds import Kind
from ecgkit.errors import RecordError
from ecgkit.leads import find_lead

_FILTER = re.compile(r"\b(HP|LP|N|NOTCH):?\s*(\d*\.?\d+)\s*Hz", re.IGNORECASE)
_FILTERS = {"hp": "highpass", "lp": "lowpass", "n": "notch", "notch": "notch"}
_MOST_GAPS = 100  # samples of gap per stored sample


def read_edf(file: Path, kind: Kind) -> Contents:
    """Read a file.

    Args:
        file: The file.
        kind: `kinds.EDF` or `kinds.BDF`.

    Raises:
        RecordError: The file is cut short or longer than its header says, or has gaps that cannot be placed.
    """
    import edfio

    _check_head(file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        edf = (edfio.read_bdf if kind is kinds.BDF else edfio.read_edf)(file, header_encoding="latin-1")
    _check_size(edf, file, 3 if kind is kinds.BDF else 2, [str(warning.message) for warning in caught])
    onsets = _onsets(edf, file, kind)
    channels = [_channel(edf, signal, onsets) for signal in edf.signals]
    patient_id, text, facts = _patient(edf)
    left = ("annotations",) if edf.reserved[3:4] == "+" else ()
    return Contents(channels, facts | _recording(edf), patient_id, text, left)


def _check_head(file: Path) -> None:
    """Check the numbers in the header, on which the library relies.

    Raises:
        RecordError: The header is cut short, or a number cannot be right.
    """
    with file.open("rb") as stream:
        head = stream.read(256)
    size = file.stat().st_size
    signals = _number_at(head, 252, 256, "signals")
    if signals < 1 or signals != int(signals) or 256 * (1 + signals) > size:
        raise RecordError(f"the header gives {signals:g} signals, but the file has {size:,} bytes")
    _number_at(head, 236, 244, "data records")
    duration = _number_at(head, 244, 252, "seconds per data record")
    if not 0 < duration < float("inf"):
        raise RecordError(f"the header gives {duration:g} s per data record", "a number above 0")


def _number_at(head: bytes, start: int, stop: int, what: str) -> float:
    text = head[start:stop].decode("latin-1").strip()
    try:
        return float(text)
    except ValueError:
        raise RecordError(f"the header gives {text!r} as the number of {what}", "a number") from None


def _check_size(edf: Any, file: Path, width: int, said: list[str]) -> None:
    """A recorder that was stopped leaves -1 as the number of data records; any other number has to be right."""
    with file.open("rb") as stream:
        stated = int(stream.read(256)[236:244])
    if edf.num_data_records < 1:
        raise RecordError("the file holds no complete data record")
    if stated >= 0 and said:
        raise RecordError(
            f"the header gives {stated:,} data records, but the file's size is that of {edf.num_data_records:,}"
            f"{' and a part of another' if any('Incomplete' in text for text in said) else ''}"
        )


def _channel(edf: Any, signal: Any, onsets: NDArray[np.float64] | None) -> Channel:
    per_record, records = signal.samples_per_data_record, edf.num_data_records
    samples, fs = per_record * records, float(signal.sampling_frequency)
    places = None
    if onsets is not None:
        places = np.rint((onsets - onsets[0]) * fs).astype(np.int64)
        samples = int(places[-1]) + per_record
        if samples > (_MOST_GAPS + 1) * per_record * records:
            raise RecordError(f"the file has gaps of {samples / fs:,.0f} s in all")
    return Channel(signal.label, signal.physical_dimension or "NU", fs, samples, partial(_samples, signal, places))


def _samples(signal: Any, places: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """Return the samples of all data records; if they have places of their own, with NaN in the gaps."""
    data, per_record = np.asarray(signal.data, np.float64), signal.samples_per_data_record
    if places is None:
        return data
    placed = np.full(int(places[-1]) + per_record, np.nan)
    for place, block in zip(places, data.reshape(-1, per_record), strict=True):
        placed[place : place + per_record] = block
    return placed


def _onsets(edf: Any, file: Path, kind: Kind) -> NDArray[np.float64] | None:
    """Return the time of each data record of a file with gaps, in s; None for a file without gaps."""
    if not edf.reserved.startswith(("EDF+D", "BDF+D")):
        return None
    if kind is kinds.BDF:
        raise RecordError("a BDF file with gaps (BDF+D) cannot be read")
    from ecgdatakit import FileParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        onsets = FileParser.parse(file, auto_scale=False).raw_metadata.get("record_onsets", ())
    times = np.array(onsets, np.float64)
    if len(times) != edf.num_data_records or (np.diff(times) < edf.data_record_duration - 1e-6).any():
        raise RecordError("the times of the data records are missing or out of order")
    return times


def _patient(edf: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    """Return id, free text and columns from the patient field.

    In EDF+ the field is ``code sex birthdate name``. In EDF it is free text: one word is an id; more may be a name.
    """
    text = edf.local_patient_identification.strip()
    words = text.split()
    is_plus = len(words) >= 4 and words[1] in ("M", "F", "X")
    if not is_plus:
        one = words[0] if len(words) == 1 and words[0] != "X" else None
        return one, (text or None if one is None and set(words) != {"X"} else None), {}
    code, sex, _, name = words[:4]
    born = _or_none(lambda: edf.patient.birthdate.isoformat())
    facts = {"sex": sex, "birth_date": born, "patient_name": name.replace("_", " "), "age": _age(edf)}
    known = {column: value for column, value in facts.items() if value not in (None, "X")}
    return (None if code == "X" else code.replace("_", " ")), None, known


def _recording(edf: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    start = _or_none(lambda: edf.startdatetime.isoformat())
    equipment = _or_none(lambda: edf.recording.equipment_code)
    if start:
        facts["acquired"] = start
    if equipment and equipment != "X":
        facts["device"] = equipment.replace("_", " ")
    for signal in edf.signals:
        if find_lead(signal.label):
            found = {_FILTERS[kind.lower()]: float(hz) for kind, hz in _FILTER.findall(signal.prefiltering)}
            return facts | {name: hz for name, hz in found.items() if hz}
    return facts


def _age(edf: Any) -> float | None:
    born, on = _or_none(lambda: edf.patient.birthdate), _or_none(lambda: edf.startdate)
    if not isinstance(born, date) or not isinstance(on, date) or on < born:
        return None
    return float(on.year - born.year - ((on.month, on.day) < (born.month, born.day)))


def _or_none(read: Callable[[], Any]) -> Any:
    """Return a field of the header, or None if it is not filled in or is malformed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read()
        except (ValueError, IndexError):
            return None
