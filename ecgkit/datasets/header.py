"""What is known of a record before its signal is read."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Header:
    """The facts of a record that decide the shape of a store, and those that its reader needs to find the samples.

    A header is small and can be pickled. The first pass over a dataset makes it, and the second pass uses it, so that
    nothing is parsed twice. The second pass may run in worker processes.

    Args:
        fs: Sampling rate in Hz.
        samples: Number of samples per lead.
        leads: Canonical names of the rows that are ECG leads, in the order of the source.
        unit: ``mV`` or ``NU``.
        source_leads: The source's own names of those rows.
        other: Names of the rows that are not ECG leads.
        comments: Comment lines of the source's header.
        layout: Private data of the reader that made this header; no other code reads it.
        stamp: Hash that changes with the source's files: with their sizes and times, and with the text of the header.
        patient_id: The patient's id, if the file states it and the dataset's list may not.
    """

    fs: float
    samples: int
    leads: tuple[str, ...]
    unit: str
    source_leads: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    layout: Any = None
    stamp: str = ""
    patient_id: str | None = None
