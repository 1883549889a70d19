"""Read one WFDB record: header, signals, comments and reference beats.

Leads are found by name, no file outside the folder is read, sizes and checksums are verified, and every failure is one
`RecordError` with its cause. A long record is read in stretches, so that its conversion takes little memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.annotations import BEATS, parse_annotations
from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.channels import AS_WRITTEN, Naming
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import beside, check_inside, read_bytes
from ecgkit.datasets.wfdb_amplitudes import to_amplitudes
from ecgkit.datasets.wfdb_header import is_segmented, parse_header
from ecgkit.datasets.wfdb_segments import JoinedLayout, read_segmented_header, read_segments
from ecgkit.datasets.wfdb_signal import layout_of, measure, read_counts, stamp
from ecgkit.datasets.wfdb_stretches import is_long, read_stretches
from ecgkit.errors import EcgkitError, RecordError
from ecgkit.recording import Amplitudes, Recording
from ecgkit.signal.microvolts import MISSING, Scaling


def read_header(root: Path, path: str, naming: Naming = AS_WRITTEN) -> Header:
    """Read the header of a record, and compare its length with the size of the signal files.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.
        naming: What the user says of names and units.

    Raises:
        RecordError: The header is missing, malformed, names a file outside `root`, or holds no ECG lead; or a signal
            file is missing or cut short.
    """
    with one_error(f"{path}.hea", "a WFDB header"):
        check_inside(root, f"{path}.hea")
        header = _read_header(root, path, naming)
        if header.samples < 1:
            raise RecordError(f"{path} contains no sample")
        if not 0 < header.fs < float("inf"):
            raise RecordError(f"{path}.hea gives {header.fs:g} Hz", "a sampling rate above 0")
        check_memory(header.samples * len(header.leads), path)
        return header


def read_record(root: Path, path: str) -> Recording:
    """Read the header and the signal of a record. Raises the errors of `read_header` and `read_signal`."""
    return read_signal(root, path, read_header(root, path))


def read_part(root: Path, path: str, header: Header, start: int, stop: int) -> Recording:
    """Read the ECG leads of a record from sample `start` up to `stop`. Of a long record, only this part is in memory.

    Raises the errors of `read_signal`.
    """
    if not is_long(header):
        return read_signal(root, path, header).part(start, stop)
    with one_error(path, "a WFDB signal"):
        amplitudes, scaling = read_stretches(root, path, header, start, stop)
    rpeaks = _reference_beats(root, path, header.fs)
    if rpeaks is not None:
        rpeaks = rpeaks[(rpeaks >= start) & (rpeaks < stop)] - start
    return _recording(amplitudes, header, rpeaks, scaling)


def read_signal(root: Path, path: str, header: Header) -> Recording:
    """Read the ECG leads of a record, and verify sizes and checksums.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.
        header: The header that `read_header` returned.

    Raises:
        RecordError: The signal file is damaged, or contains no sample.
    """
    with one_error(path, "a WFDB signal"):
        amplitudes, scaling = _read_amplitudes(root, path, header)
    rpeaks = _reference_beats(root, path, header.fs)
    return recording_of(amplitudes, header, path, rpeaks=rpeaks, scaling=scaling)


def recording_of(
    amplitudes: Amplitudes,
    header: Header,
    path: str,
    *,
    rpeaks: NDArray[np.integer] | None = None,
    scaling: Scaling | None = None,
) -> Recording:
    """Return the recording of a header and its samples.

    Raises:
        RecordError: Every sample is missing.
    """
    is_empty = amplitudes.max() == MISSING if amplitudes.dtype == np.int16 else not np.isfinite(amplitudes).any()
    if is_empty:
        raise RecordError(f"every sample of {path} is missing")
    return _recording(amplitudes, header, rpeaks, scaling)


def _recording(
    amplitudes: Amplitudes, header: Header, rpeaks: NDArray[np.integer] | None, scaling: Scaling | None
) -> Recording:
    return Recording(
        amplitudes,
        header.fs,
        header.leads,
        header.unit,
        header.source_leads,
        other=header.other,
        comments=header.comments,
        rpeaks=rpeaks,
        scaling=scaling,
    )


@contextmanager
def one_error(name: str, expected: str) -> Iterator[None]:
    """Turn any error that a library or the file system raises for a file into a `RecordError` with its cause."""
    try:
        yield
    except EcgkitError:
        raise
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise RecordError(f"{name} is not readable ({cause})", expected) from None


def _read_header(root: Path, path: str, naming: Naming) -> Header:
    try:
        raw = read_bytes(root, f"{path}.hea")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise RecordError(f"header {path}.hea does not exist as a file") from None
    if is_segmented(raw):
        return read_segmented_header(root, path, raw, naming)
    parsed = parse_header(raw, naming)
    for name in parsed.files:
        check_inside(root, beside(path, name))
    rows, frame = parsed.scheme.rows, parsed.scheme.frame
    frames, states = measure(root, path, parsed)
    return Header(
        parsed.fs * frame,
        frames * frame,
        rows.leads,
        rows.unit,
        rows.source_leads,
        rows.other,
        parsed.comments,
        layout_of(parsed),
        stamp(raw, states),
    )


def _read_amplitudes(root: Path, path: str, header: Header) -> tuple[Amplitudes, Scaling | None]:
    layout = header.layout
    if is_long(header):
        return read_stretches(root, path, header, 0, header.samples)
    if isinstance(layout, JoinedLayout):
        return read_segments(root, path, header), None
    return to_amplitudes(read_counts(root, path, header.samples // layout.scheme.frame, layout), layout.scheme)


def _reference_beats(root: Path, path: str, fs: float) -> NDArray[np.int64] | None:
    """Return the beats of an ``.atr`` file beside the record, if there is a readable one."""
    try:
        raw = read_bytes(root, f"{path}.atr")
    except OSError:
        return None
    check_inside(root, f"{path}.atr")
    try:
        return parse_annotations(raw, fs).only(BEATS)
    except ValueError:  # an unreadable annotation file must not cost the signal
        return None
