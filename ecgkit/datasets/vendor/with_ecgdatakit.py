"""Read a file with ecgdatakit, and correct what its model cannot hold or what it only warns about.

ecgdatakit rounds sampling rates to whole Hz; the exact ones come from its raw metadata. It warns of a wrong checksum
and of a cut recording; here both are errors. It takes the calibration pulse at the end of a Philips recording for a
signal.
"""

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgkit.datasets.vendor import kinds, safety
from ecgkit.datasets.vendor.calibration import samples_before_calibration
from ecgkit.datasets.vendor.contents import Channel, Contents
from ecgkit.datasets.vendor.facts import facts_of
from ecgkit.datasets.vendor.kinds import Kind
from ecgkit.errors import RecordError

# Warnings of ecgdatakit that mean that samples are missing from the file.
_CUT = re.compile(r"truncated|shorter than|incomplete|last byte is ignored", re.IGNORECASE)
# Warnings that mean that a part of the file was not read.
_NOT_READ = re.compile(r"only the first is read|not loaded|are not loaded|waveform ignored|sequences ignored")


def read_with_ecgdatakit(file: Path, kind: Kind) -> Contents:
    """Read a file.

    Raises:
        RecordError: The file is damaged, or ecgdatakit cannot read it.
    """
    from ecgdatakit import ECGDataKitError, FileParser

    raw = file.read_bytes()
    safety.check_content(kind, raw)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            record = FileParser.parse(file, auto_scale=False)
        except ECGDataKitError as error:
            raise RecordError(_plain(str(error), file)) from None
    said = [_plain(str(warning.message), file) for warning in caught]
    if not record.leads:
        raise RecordError(f"the file holds {'only representative beats' if record.median_beats else 'no ECG'}")
    _check_whole(kind, record, raw, said)
    left = _left(record, said)
    if kind is kinds.SIERRA and (size := _before_calibration(record)) < len(record.leads[0].samples):
        record.leads = [replace(lead, samples=lead.samples[:size]) for lead in record.leads]
        left = (*left, "calibration pulse")
    channels = [_channel(lead, fs) for lead, fs in zip(record.leads, _rates(record), strict=True)]
    return Contents(channels, facts_of(record), record.patient.patient_id or None, left=left)


def _before_calibration(record: Any) -> int:
    steps = [lead.resolution / 1000 if lead.resolution_unit == "uV" else 0.0 for lead in record.leads]
    return samples_before_calibration([lead.samples * mv for lead, mv in zip(record.leads, steps, strict=True)])


def _channel(lead: Any, fs: float) -> Channel:
    values = lead.samples * lead.resolution + lead.offset if lead.is_raw else lead.samples
    unit = (lead.resolution_unit if lead.is_raw else lead.units) or "NU"
    start = int(lead.annotations.get("start_sample", 1)) - 1
    return Channel(lead.label, unit, fs, len(values), lambda: values, start)


def _rates(record: Any) -> list[float]:
    """Return the sampling rate of each lead, as exactly as the file states it."""
    meta, rounded = record.raw_metadata, [float(lead.sampling_rate) for lead in record.leads]
    if "sampling_rate_exact" in meta.get("rhythm_time", {}):  # HL7 aECG
        return [float(meta["rhythm_time"]["sampling_rate_exact"])] * len(rounded)
    if meta.get("rhythm_sample_interval_us"):  # SCP-ECG
        return [1e6 / meta["rhythm_sample_interval_us"]] * len(rounded)
    size = len(record.leads[0].samples)
    for group in meta.get("multiplex_groups", ()):  # DICOM
        if group["samples"] == size and round(group["sampling_frequency"]) == rounded[0]:
            return [float(group["sampling_frequency"])] * len(rounded)
    exact = meta.get("sampling_rates")  # MFER
    return [float(fs) for fs in exact] if exact and len(exact) == len(rounded) else rounded


def _check_whole(kind: Kind, record: Any, raw: bytes, said: list[str]) -> None:
    """Refuse a recording whose checksum does not fit, or from which samples are missing.

    Raises:
        RecordError: It is one.
    """
    meta = record.raw_metadata
    if meta.get("checksum_valid") is False and (kind is not kinds.SCP or safety.has_scp_checksums(raw)):
        raise RecordError(next((text for text in said if "mismatch" in text), "the checksum does not fit"))
    for text in said:
        if _CUT.search(text):
            raise RecordError(text)
    if kind is kinds.ISHNE and (stated := meta["ecg_size"]) > 0:
        # Writers give the number of samples of one lead, or of all.
        size, leads = meta["samples_per_lead"], len(record.leads)
        if size < stated != size * leads:
            raise RecordError(f"the file is cut short: {size:,} samples per lead of {stated:,}")


def _left(record: Any, said: list[str]) -> tuple[str, ...]:
    """Return what else the file holds, for the summary of an ingest."""
    beats = ("representative beats",) if record.median_beats else ()
    enhanced = ("leads as filtered by the device",) if record.leads_enhanced else ()
    others = ("a further waveform",) if any(_NOT_READ.search(text) for text in said) else ()
    return (*beats, *enhanced, *others)


def _plain(text: str, file: Path) -> str:
    """Return a message without the folder of the file, in one line."""
    return " ".join(text.replace(str(file), file.name).split())[:200]
