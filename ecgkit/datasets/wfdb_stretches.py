"""Read a long WFDB segment in stretches, so that its conversion takes little more memory than its samples.

The checksums of a header are those of whole rows. They are summed up over all stretches; if only a part of a record is
wanted, once per process.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.header import Header
from ecgkit.datasets.wfdb_amplitudes import to_amplitudes
from ecgkit.datasets.wfdb_formats import DIFFERENCES, Counts
from ecgkit.datasets.wfdb_signal import SegmentLayout, read_counts
from ecgkit.errors import RecordError
from ecgkit.recording import Amplitudes
from ecgkit.signal.microvolts import Scaling

STRETCH = 8_000_000  # samples in all leads that are converted at once


def is_long(header: Header) -> bool:
    """Return whether a record is read in stretches: it is long, and any part of it can be read by itself."""
    layout = header.layout
    if not isinstance(layout, SegmentLayout) or header.samples * len(header.leads) <= STRETCH:
        return False
    return not any(channel.skew or channel.format == DIFFERENCES for channel in layout.scheme.channels)


def read_stretches(root: Path, path: str, header: Header, start: int, stop: int) -> tuple[Amplitudes, Scaling | None]:
    """Return the amplitudes of a long record from sample `start` up to `stop`, ``[L, T]``, and their scaling.

    Raises:
        RecordError: A checksum is wrong, or a file has become shorter.
    """
    layout: SegmentLayout = header.layout
    sums = np.zeros(len(header.leads), np.int64)
    out = np.empty((len(header.leads), stop - start), np.int16)
    is_exact, at = True, 0
    for counts in _stretches(root, path, header, start, stop):
        sums += counts.sum(1, dtype=np.int64)
        amplitudes, scaling = to_amplitudes(counts, layout.scheme) if is_exact else (counts, None)
        is_exact = is_exact and scaling is None and amplitudes.dtype == np.int16
        if is_exact:
            out[:, at : at + counts.shape[1]] = amplitudes
        at += counts.shape[1]
    if (start, stop) == (0, header.samples):
        _compare(path, layout, sums)
    else:
        _verify(root, path, header)
    if is_exact:
        return out, None
    frame = layout.scheme.frame
    first, last = start // frame, -(-stop // frame)
    counts = read_counts(root, path, header.samples // frame, layout, first, last)
    return to_amplitudes(counts[:, start - first * frame : stop - first * frame], layout.scheme)


def _stretches(root: Path, path: str, header: Header, start: int, stop: int) -> Iterator[Counts]:
    layout: SegmentLayout = header.layout
    frame = layout.scheme.frame
    step = max(1, STRETCH // (len(layout.scheme.channels) * frame))
    for first in range(start // frame, -(-stop // frame), step):
        last = min(first + step, -(-stop // frame))
        counts = read_counts(root, path, header.samples // frame, layout, first, last)
        yield counts[:, max(0, start - first * frame) : stop - first * frame]


def _compare(path: str, layout: SegmentLayout, sums: NDArray[np.int64]) -> None:
    for row, found in zip(layout.scheme.rows.index, sums.tolist(), strict=True):
        expected = layout.checksums[row]
        if expected is not None and (expected - found) & 0xFFFF:
            name = layout.scheme.channels[row].name
            raise RecordError(
                f"{path} lead {name} has checksum {found & 0xFFFF}", f"{expected & 0xFFFF} as its header says"
            )


def _verify(root: Path, path: str, header: Header) -> None:
    problem = _problem(_Whole(root, path, header))
    if problem:
        raise RecordError(problem)


class _Whole:
    """A record, equal to another one if path and stamp are."""

    def __init__(self, root: Path, path: str, header: Header) -> None:
        self.root, self.path, self.header = root, path, header
        self.key = (str(root), path, header.stamp)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Whole) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@lru_cache(maxsize=1024)
def _problem(whole: _Whole) -> str:
    """Return what is wrong with the checksums of a record; empty if nothing is."""
    header = whole.header
    sums = np.zeros(len(header.leads), np.int64)
    for counts in _stretches(whole.root, whole.path, header, 0, header.samples):
        sums += counts.sum(1, dtype=np.int64)
    try:
        _compare(whole.path, header.layout, sums)
    except RecordError as error:
        return str(error)
    return ""
