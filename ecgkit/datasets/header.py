"""What a record's header says before its signal is read."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Header:
    """What decides the shape of a store, and what the record's own reader needs to find the samples.

    It is small and can be pickled: the first pass over a dataset makes it, the second hands it on, to a worker process
    if need be, so that nothing is parsed twice.

    Args:
        fs: Sampling rate in Hz.
        samples: Number of samples per lead.
        leads: Canonical names of the rows that are ECG leads, in the order of the source.
        unit: ``mV`` or ``NU``.
        source_leads: The source's own names of those rows.
        other: Names of the rows that are no ECG leads.
        comments: Free lines of the source's header.
        layout: What the reader that made this header wants to know again; nobody else reads it.
    """

    fs: float
    samples: int
    leads: tuple[str, ...]
    unit: str
    source_leads: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    layout: Any = None
