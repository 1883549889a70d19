"""What a record lacks of a model's input, in words: leads, rate, length. And which records a model cannot read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgkit.signal.spec import SignalSpec
from ecgkit.store.views import SHORTEST


@dataclass(frozen=True)
class Shape:
    """What decides whether a model can read a record, and what the record lacks. Most records of a dataset share one.

    Args:
        fs: Sampling rate in Hz.
        samples: Number of samples of the whole record.
        leads: Its leads.
        unit: Unit of its amplitudes.
    """

    fs: float
    samples: int
    leads: tuple[str, ...]
    unit: str


def problem(record: Shape, spec: SignalSpec, leads: Sequence[str]) -> str:
    """Return why a model cannot read a record; empty if it can.

    Args:
        record: The record.
        spec: The model's signal contract.
        leads: The leads that the model is given.
    """
    if not set(record.leads) & set(leads):
        return f"it has leads {', '.join(record.leads)}, and the model reads {', '.join(leads)}"
    seconds = record.samples / record.fs
    # Rounded up, so that no window of such a record is shorter than the shortest.
    return f"it is {seconds:.2g} s long, and {SHORTEST:g} s are the least" if seconds < SHORTEST else ""


def notes(record: Shape, spec: SignalSpec, leads: Sequence[str]) -> list[str]:
    """Return what a record lacks, or what was done to it, one clause each; see `problem` for the arguments."""
    found = []
    missing = [lead for lead in leads if lead not in record.leads]
    if missing:
        found.append(f"leads missing: {' '.join(missing)}")
    fs, seconds = record.fs, record.samples / record.fs
    if not np.isclose(fs, spec.fs):
        found.append(f"resampled from {fs:g} Hz")
    if seconds < spec.seconds - 0.5 / spec.fs:
        found.append(f"{seconds:.3g} s instead of {spec.seconds:g} s")
    if seconds > spec.window + 0.5 / spec.fs:
        found.append(f"first {spec.window:g} s of {seconds:.4g} s")
    if record.unit != "mV":
        found.append("amplitude without a unit")
    return found


def summary(texts: Sequence[str]) -> dict[str, int]:
    """Return how many records have each kind of note: its words without numbers and lead names."""
    kinds = {
        "leads missing": "with missing leads",
        "resampled": "resampled",
        " s instead of ": "shorter than the model's input",
        "first ": "longer than the model's window",
        "without a unit": "without a unit of amplitude",
        "samples missing": "with missing samples",
        "clipped": "with infinite samples",
    }
    counts = {
        words: sum(any(sign in part for part in text.split("; ")) for text in texts) for sign, words in kinds.items()
    }
    return {words: count for words, count in counts.items() if count}
