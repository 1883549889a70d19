"""WFDB files of one record: header, signal in format 16, and beat annotations.

Formats are those of the WFDB manual, ``header(5)``, ``signal(5)`` and ``annot(5)`` (physionet.org). Leads
stand in MIMIC-IV-ECG's order, with aVF before aVL, at its 200 units/mV; a header ends with age, sex and
SNOMED CT codes in comments, as those of the PhysioNet/CinC Challenges do.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.leads import DERIVED, STANDARD_LEADS

FILE_LEADS = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
GAIN = 200.0  # units per mV
INVALID = -32768  # format 16's missing sample
LARGEST = 16000  # leaves room for III = II - I within int16

# Codes of annot(5).
NORMAL_BEAT, PVC_BEAT, SKIP = 1, 5, 59
LONGEST_INTERVAL = 1023


def quantise(signal: NDArray[np.floating]) -> NDArray[np.int16]:
    """Return the integers of a file's twelve leads.

    III is exactly II - I in these integers, and the augmented leads are within half a unit of their
    definition.

    Args:
        signal: ``[12, T]`` in mV, standard lead order, NaN where a sample is missing.

    Returns:
        ``[12, T]`` in the order of `FILE_LEADS`.
    """
    missing = np.isnan(signal)
    units = np.where(missing, 0.0, signal) * GAIN
    np.rint(units, out=units).clip(-LARGEST, LARGEST, out=units)
    rows = dict(zip(STANDARD_LEADS, units, strict=True))
    rows |= {name: np.rint(a * rows["I"] + b * rows["II"]) for name, (a, b) in DERIVED.items()}
    samples = np.empty(signal.shape, dtype=np.int16)
    for row, name in enumerate(FILE_LEADS):
        samples[row] = rows[name]
    samples[missing[[STANDARD_LEADS.index(name) for name in FILE_LEADS]]] = INVALID
    return samples


def write_record(path: Path, samples: NDArray[np.int16], *, fs: float, time: datetime, comments: Sequence[str]) -> None:
    """Write a header and its signal file.

    Args:
        path: The record, without a suffix; its folder exists.
        samples: ``[12, T]`` in the order of `FILE_LEADS`.
        fs: Sampling rate in Hz.
        time: When the record was taken.
        comments: Lines after the signals, without the leading ``#``.
    """
    path.with_suffix(".dat").write_bytes(samples.T.astype("<i2").tobytes())
    lines = [f"{path.name} {len(samples)} {fs:g} {samples.shape[1]} {time:%H:%M:%S} {time:%d/%m/%Y}"]
    for name, row in zip(FILE_LEADS, samples, strict=True):
        checksum = int(row.sum(dtype=np.int64)) & 0xFFFF
        lines.append(f"{path.name}.dat 16 {GAIN:.1f}(0)/mV 16 0 {row[0]} {checksum} 0 {name}")
    lines += [f"# {comment}" for comment in comments]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")


def write_beats(path: Path, rpeaks: NDArray[np.int64], ectopic: NDArray[np.bool_]) -> None:
    """Write the beat annotations (``.atr``) of a record.

    Args:
        path: The record, without a suffix.
        rpeaks: Sample of each beat, rising.
        ectopic: For each beat, True for a premature ventricular one (symbol V, else N).
    """
    words: list[int] = []
    for interval, early in zip(np.diff(rpeaks, prepend=0).tolist(), ectopic, strict=True):
        if interval > LONGEST_INTERVAL:  # a skip holds its 32 bits with the high word first
            words += [SKIP << 10, interval >> 16, interval & 0xFFFF]
            interval = 0
        words.append((PVC_BEAT if early else NORMAL_BEAT) << 10 | interval)
    path.with_suffix(".atr").write_bytes(np.array([*words, 0], dtype="<u2").tobytes())
