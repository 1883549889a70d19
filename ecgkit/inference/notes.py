"""What a record lacks of a model's input, in words: leads, rate, length. And which records a model cannot read."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ecgkit.signal.spec import SignalSpec
from ecgkit.store.views import SHORTEST


def problem(row: pd.Series, spec: SignalSpec, leads: Sequence[str]) -> str:
    """Return why a model cannot read a record; empty if it can.

    Args:
        row: A row of a record table, with ``fs``, ``samples`` and ``leads``.
        spec: The model's signal contract.
        leads: The leads that the model is given.
    """
    if not set(row["leads"]) & set(leads):
        return f"it has leads {', '.join(row['leads'])}, and the model reads {', '.join(leads)}"
    seconds = row["samples"] / row["fs"]
    # Rounded up, so that no window of such a record is shorter than the shortest.
    return f"it is {seconds:.2g} s long, and {SHORTEST:g} s are the least" if seconds < SHORTEST else ""


def notes(row: pd.Series, spec: SignalSpec, leads: Sequence[str]) -> list[str]:
    """Return what a record lacks, or what was done to it, one clause each; see `problem` for the arguments."""
    found = []
    missing = [lead for lead in leads if lead not in set(row["leads"])]
    if missing:
        found.append(f"leads missing: {' '.join(missing)}")
    fs, seconds = float(row["fs"]), float(row["samples"] / row["fs"])
    if not np.isclose(fs, spec.fs):
        found.append(f"resampled from {fs:g} Hz")
    if seconds < spec.seconds - 0.5 / spec.fs:
        found.append(f"{seconds:.3g} s instead of {spec.seconds:g} s")
    if seconds > spec.window + 0.5 / spec.fs:
        found.append(f"first {spec.window:g} s of {seconds:.4g} s")
    if row["unit"] != "mV":
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
