"""Read records that are not plain with wfdb-python: segments, several samples per frame, FLAC, packed formats.

This module adds three things to wfdb. No header can name a file outside its folder. Sizes and checksums are verified.
Files of a remote folder are first copied to this machine, since wfdb opens only local files.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgkit.datasets.channels import AS_WRITTEN, NO_UNIT, Naming, Rows, find_rows
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import beside, check_inside, is_local
from ecgkit.datasets.wfdb_header import wfdb_lines
from ecgkit.errors import RecordError

# Fewest bytes per sample. A FLAC frame (508, 516, 524) packs at most 65,536 samples, whatever their values.
SAMPLE_BYTES = {
    "8": 1.0,
    "80": 1.0,
    "16": 2.0,
    "61": 2.0,
    "160": 2.0,
    "24": 3.0,
    "32": 4.0,
    "212": 1.5,
    "310": 4 / 3,
    "311": 4 / 3,
    "508": 2.0**-16,
    "516": 2.0**-16,
    "524": 2.0**-16,
}
# No file vouches for the length of gaps in a multi-segment record. Allow this many samples of gap per stored sample.
MOST_GAPS = 100


@dataclass(frozen=True)
class WfdbLayout:
    """The rows to read with wfdb."""

    rows: Rows


def read_header(root: Path, path: str, naming: Naming = AS_WRITTEN) -> Header:
    """Read a header with wfdb; see `ecgkit.datasets.wfdb_record.read_header`."""
    with _here(root, path, signals=False) as folder:
        raw = _load_header(folder, path)
        header = _describe(raw, path, naming)
        _check_sizes(root, path, raw)
        return header


def read_signal(root: Path, path: str, header: Header) -> NDArray[np.float64]:
    """Return ``[L, T]`` in mV (or NU), NaN for a missing sample."""
    with _here(root, path, signals=True) as folder:
        return _load_signal(folder / path, _load_header(folder, path), header.layout.rows)


@contextmanager
def _here(root: Path, path: str, *, signals: bool) -> Iterator[Path]:
    """Yield a local folder that holds a record's files under their own paths. If `root` is local, this is `root`."""
    if is_local(root):
        yield root
        return
    with tempfile.TemporaryDirectory(prefix="ecgkit-") as folder:
        _copy_record(root, path, Path(folder), signals=signals)
        yield Path(folder)


def _copy_record(root: Path, path: str, folder: Path, *, signals: bool, is_segment: bool = False) -> None:
    """Copy a header, the headers of its segments, and, if wanted, the signal files."""
    _check_names(root, path)
    _copy(root, f"{path}.hea", folder)
    first, *lines = wfdb_lines((root / f"{path}.hea").read_bytes())
    names = dict.fromkeys(line.split()[0] for line in lines)
    for name in names.keys() - {"~"}:
        file = beside(path, name)
        if "/" not in first.split()[0]:
            if signals:
                _copy(root, file, folder)
        elif not is_segment and (root / f"{file}.hea").is_file():
            _copy_record(root, file, folder, signals=signals, is_segment=True)


def _copy(root: Path, path: str, folder: Path) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((root / path).read_bytes())


def _load_header(root: Path, path: str) -> Any:
    """Parse a header and those of its segments, after checking that every file name in them stays inside `root`."""
    _check_names(root, path)
    header = wfdb.rdheader(str(root / path))
    if not isinstance(header, wfdb.MultiRecord):
        _mark_uncalibrated(root / path, header)
        return header
    segments = [beside(path, name) for name in header.seg_name if name != "~"]
    missing = [segment for segment in segments if not (root / f"{segment}.hea").is_file()]
    if missing:
        raise RecordError(f"{path} lacks {len(missing)} of its {len(segments)} segments (first {missing[0]}.hea)")
    for segment in segments:
        _check_names(root, segment)
    header = wfdb.rdheader(str(root / path), rd_segments=True)
    for name, segment in zip(header.seg_name, header.segments, strict=True):
        if isinstance(segment, wfdb.MultiRecord):
            raise RecordError(f"segment {name} of {path} has segments itself, which is not supported")
        if segment is not None:
            _mark_uncalibrated((root / path).with_name(name), segment)
    return header


def _check_names(root: Path, path: str) -> None:
    """Refuse a header that names a signal file or a segment outside the dataset's folder."""
    check_inside(root, f"{path}.hea")
    for name in dict.fromkeys(line.split()[0] for line in wfdb_lines((root / f"{path}.hea").read_bytes())[1:]):
        check_inside(root, beside(path, name))


def _mark_uncalibrated(record: Path, header: Any) -> None:
    """Set the unit of every signal whose gain is 0 or missing to NU.

    header(5): such a gain means that the amplitude is uncalibrated, and 200 counts are taken per unit. wfdb fills in
    the 200 and does not report the 0. A layout header (file ``~``) has no amplitudes, so its zeros mean nothing.
    """
    for i, line in enumerate(wfdb_lines(record.with_name(f"{record.name}.hea").read_bytes())[1:]):
        file, _, gain = [*line.split(), "", ""][:3]
        if file != "~" and re.match(r"-?(0+\.?0*|\.0+)(e[+-]?\d+)?($|[(/])|$", gain):
            header.units[i] = NO_UNIT.upper()


def _describe(header: Any, path: str, naming: Naming) -> Header:
    rows = find_rows(*_names_and_units(header), naming)
    if not header.sig_len:
        raise RecordError(f"{path}.hea gives no number of samples")
    return Header(
        fs=float(header.fs),
        samples=int(header.sig_len),
        leads=rows.leads,
        unit=rows.unit,
        source_leads=rows.source_leads,
        other=rows.other,
        comments=tuple(header.comments or ()),
        layout=WfdbLayout(rows),
    )


def _names_and_units(header: Any) -> tuple[list[str], list[str]]:
    """Return the name and the unit of every row; for a multi-segment record, those of its first segment."""
    if isinstance(header, wfdb.MultiRecord):
        header = header.segments[0]  # the layout header, if the layout varies
    names = [name or "" for name in header.sig_name or ()]
    return names, [unit or "mV" for unit in header.units or ["mV"] * len(names)]


def _check_sizes(root: Path, path: str, header: Any) -> None:
    """Compare the size of each signal file with the size that follows from its header."""
    if isinstance(header, wfdb.MultiRecord):
        _check_segments(root, path, header)
        return
    for name in dict.fromkeys(header.file_name):
        channels = [i for i, other in enumerate(header.file_name) if other == name]
        file = root / beside(path, name)
        if not file.is_file():
            raise RecordError(f"signal file {name} of {PurePosixPath(path).name}.hea does not exist")
        per_sample = SAMPLE_BYTES.get(header.fmt[channels[0]])
        if per_sample is None:
            raise RecordError(f"{name} has format {header.fmt[channels[0]]}", f"one of {', '.join(SAMPLE_BYTES)}")
        frame = sum(header.samps_per_frame[i] or 1 for i in channels)
        wanted = int(header.sig_len * frame * per_sample) + (header.byte_offset[channels[0]] or 0)
        if file.stat().st_size < wanted:
            raise RecordError(f"{name} is cut short: {file.stat().st_size} bytes", f"at least {wanted} bytes")


def _check_segments(root: Path, path: str, header: Any) -> None:
    """Compare the length of a multi-segment record with the lengths of its segments and of their files."""
    gaps = 0
    for name, segment, samples in zip(header.seg_name, header.segments, header.seg_len, strict=True):
        if segment is None:
            gaps += samples
        elif samples:  # a layout header has no samples
            if segment.sig_len != samples:
                raise RecordError(f"segment {name} has {segment.sig_len} samples", f"{samples} as {path}.hea says")
            _check_sizes(root, beside(path, name), segment)
    if sum(header.seg_len) != header.sig_len:
        raise RecordError(f"{path}.hea gives {header.sig_len} samples, but its segments have {sum(header.seg_len)}")
    if gaps > MOST_GAPS * (header.sig_len - gaps):
        raise RecordError(f"{gaps} of {header.sig_len} samples of {path} are in gaps", f"gaps up to {MOST_GAPS} to 1")


def _load_signal(record: Path, raw: Any, rows: Rows) -> NDArray[np.float64]:
    channels = list(rows.index)
    if isinstance(raw, wfdb.MultiRecord):
        loaded = wfdb.rdrecord(str(record), channels=channels)
        physical = loaded.p_signal
    else:
        loaded = wfdb.rdrecord(str(record), channels=channels, physical=False)
        _check_sums(record, raw, loaded, channels)
        physical = loaded.dac(return_res=64)
    if loaded.units is None:
        raise RecordError(f"{record.name} has segments in several units", "one unit per lead")
    names, _ = _names_and_units(raw)
    columns = [loaded.sig_name.index(names[i]) for i in channels]
    return np.ascontiguousarray(physical[:, columns].T * rows.millivolts)


def _check_sums(record: Path, raw: Any, loaded: Any, channels: list[int]) -> None:
    """Compare the 16-bit checksums. They are defined only for unsmoothed samples in their own place."""
    if any(raw.samps_per_frame[i] != 1 for i in channels) or any(raw.skew[i] for i in channels):
        return
    for name, expected, found in zip(
        loaded.sig_name, [raw.checksum[i] for i in channels], loaded.calc_checksum(), strict=True
    ):
        if expected is not None and expected % 65536 != found % 65536:
            raise RecordError(
                f"{record.name} lead {name} has checksum {found % 65536}",
                f"{expected % 65536} as its header says",
            )
