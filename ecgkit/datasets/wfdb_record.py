"""Read one WFDB record: header, signals, comments and reference beats.

Plain records, which are nearly all records, are read here with numpy; any other record is read with wfdb. Both ways
find leads by name, never read a file outside the folder, verify sizes and checksums, and raise one `RecordError`
with its cause on failure.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.annotations import BEATS, parse_annotations
from ecgkit.datasets.channels import AS_WRITTEN, Naming
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import beside, check_inside, read_bytes
from ecgkit.datasets.wfdb_header import NotPlain, WfdbHeader, parse_header
from ecgkit.datasets.wfdb_signal import PlainLayout, measure, read_counts, to_amplitudes
from ecgkit.errors import RecordError
from ecgkit.recording import Amplitudes, Recording
from ecgkit.signal.microvolts import MISSING


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
            raise RecordError(f"{path}.hea gives no number of samples")
        if not 0 < header.fs < float("inf"):
            raise RecordError(f"{path}.hea gives {header.fs:g} Hz", "a sampling rate above 0")
        return header


def read_record(root: Path, path: str) -> Recording:
    """Read the header and the signal of a record. Raises the errors of `read_header` and `read_signal`."""
    return read_signal(root, path, read_header(root, path))


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
        amplitudes = _read_amplitudes(root, path, header)
    return recording_of(amplitudes, header, path, rpeaks=_reference_beats(root, path, header.fs))


def recording_of(
    amplitudes: Amplitudes, header: Header, path: str, *, rpeaks: NDArray[np.integer] | None = None
) -> Recording:
    """Return the recording of a header and its samples.

    Raises:
        RecordError: Every sample is missing.
    """
    is_empty = amplitudes.max() == MISSING if amplitudes.dtype == np.int16 else not np.isfinite(amplitudes).any()
    if is_empty:
        raise RecordError(f"every sample of {path} is missing")
    return Recording(
        amplitudes,
        header.fs,
        header.leads,
        header.unit,
        header.source_leads,
        other=header.other,
        comments=header.comments,
        rpeaks=rpeaks,
    )


@contextmanager
def one_error(name: str, expected: str) -> Iterator[None]:
    """Turn any error that a library or the file system raises for a file into a `RecordError` with its cause."""
    try:
        yield
    except RecordError:
        raise
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise RecordError(f"{name} is not readable ({cause})", expected) from None


def _read_header(root: Path, path: str, naming: Naming) -> Header:
    try:
        raw = read_bytes(root, f"{path}.hea")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise RecordError(f"header {path}.hea does not exist as a file") from None
    try:
        parsed = parse_header(raw, naming)
        for name in parsed.files:
            check_inside(root, beside(path, name))
        return _describe(parsed, measure(root, path, parsed))
    except NotPlain:
        from ecgkit.datasets import wfdb_fallback

        return wfdb_fallback.read_header(root, path, naming)


def _describe(header: WfdbHeader, samples: int) -> Header:
    rows = header.scheme.rows
    # header(5): a header without a number of samples has no checksum to verify either.
    checksums = header.checksums if header.samples is not None else (None,) * len(header.checksums)
    return Header(
        header.fs,
        samples,
        rows.leads,
        rows.unit,
        rows.source_leads,
        rows.other,
        header.comments,
        PlainLayout(header.files, checksums, header.scheme),
    )


def _read_amplitudes(root: Path, path: str, header: Header) -> Amplitudes:
    if isinstance(header.layout, PlainLayout):
        return to_amplitudes(read_counts(root, path, header.samples, header.layout), header.layout.scheme)
    from ecgkit.datasets import wfdb_fallback

    return wfdb_fallback.read_signal(root, path, header)


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
