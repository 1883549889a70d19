"""What a vendor's file holds, in one form for all kinds, and the way from there to a recording."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.channels import Naming, Rows, find_rows
from ecgkit.datasets.header import Header
from ecgkit.datasets.wfdb_record import recording_of
from ecgkit.errors import RecordError
from ecgkit.recording import Amplitudes, Recording
from ecgkit.signal.microvolts import LIMIT
from ecgkit.signal.resample import resample_with_gaps, resampled_length


@dataclass(frozen=True)
class Channel:
    """One signal of a file.

    Args:
        name: The file's name of it.
        unit: Unit of its samples, such as ``uV``; ``NU`` if the file states none.
        fs: Sampling rate in Hz, not rounded.
        samples: Number of samples.
        read: Returns the samples, ``[T]``, NaN for a missing one.
        start: Number of missing samples before the first one.
    """

    name: str
    unit: str
    fs: float
    samples: int
    read: Callable[[], NDArray[np.floating]]
    start: int = 0


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Args:
        channels: Its signals, of the rhythm recording only.
        facts: What it says of patient, device and ECG, by the names of the record table's columns.
        patient_id: The patient's id.
        patient_text: Free text about the patient, of a file without an id.
        left: What else it holds that is not taken, such as representative beats.
    """

    channels: Sequence[Channel]
    facts: Mapping[str, Any] = field(default_factory=dict)
    patient_id: str | None = None
    patient_text: str | None = None
    left: tuple[str, ...] = ()


def header_of(contents: Contents, naming: Naming) -> Header:
    """Return the header of a file's ECG leads.

    If leads have different rates, all get the rate that most of them have.

    Raises:
        RecordError: No channel is an ECG lead, or the rate or the length is impossible.
    """
    channels = contents.channels
    rows = find_rows([c.name for c in channels], [c.unit for c in channels], naming)
    leads = [channels[row] for row in rows.index]
    fs = max(Counter(lead.fs for lead in leads).items(), key=lambda item: (item[1], item[0]))[0]
    if not 0 < fs < float("inf"):
        raise RecordError(f"the file gives {fs:g} Hz", "a sampling rate above 0")
    samples = max(resampled_length(lead.start + lead.samples, lead.fs, fs) for lead in leads)
    if samples < 1:
        raise RecordError("the file contains no sample")
    return Header(
        fs,
        samples,
        rows.leads,
        rows.unit,
        rows.source_leads,
        (*rows.other, *contents.left),
        layout=rows,
        patient_id=contents.patient_id,
    )


def recording_from(contents: Contents, header: Header, name: str) -> Recording:
    """Return a file's ECG leads as a recording.

    Args:
        contents: The file's contents.
        header: The header that `header_of` returned for it.
        name: Name of the file, for errors.

    Raises:
        RecordError: Every sample is missing, or the file is no longer the one that the header describes.
    """
    rows: Rows = header.layout
    if len(contents.channels) <= max(rows.index):
        raise RecordError(f"{name} has changed since its header was read")
    leads = [contents.channels[row] for row in rows.index]
    millivolts = np.full((len(leads), header.samples), np.nan)
    for lead, values in zip(leads, millivolts, strict=True):
        own = _at_rate(lead, header.fs)[: header.samples]
        values[: len(own)] = own
    amplitudes = _whole_microvolts(millivolts * rows.millivolts)
    changed = [f"{lead.name} ({lead.fs:g} Hz)" for lead in leads if lead.fs != header.fs]
    known = {
        "patient_id": contents.patient_id,
        "patient_text": contents.patient_text,
        "resampled_leads": ", ".join(changed),
    }
    facts = {**contents.facts, **{name: value for name, value in known.items() if value}}
    return replace(recording_of(amplitudes, header, name), facts=facts)


def _at_rate(lead: Channel, fs: float) -> NDArray[np.floating]:
    """Return a channel's samples at a rate, with the missing ones before its start."""
    values = np.concatenate([np.full(lead.start, np.nan), lead.read()]) if lead.start else lead.read()
    return values if lead.fs == fs else resample_with_gaps(values[None], lead.fs, fs)[0]


def _whole_microvolts(millivolts: NDArray[np.float64]) -> Amplitudes:
    """Return int16 microvolts if all samples are there and are whole microvolts in range, else mV as they are."""
    microvolts = np.rint(millivolts * 1000)
    exact = np.isfinite(microvolts).all() and np.abs(microvolts).max() <= LIMIT
    if exact and np.abs(millivolts * 1000 - microvolts).max() < 1e-6:
        return microvolts.astype(np.int16)
    return millivolts
