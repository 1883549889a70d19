"""Read the samples of one WFDB segment with numpy; sizes and checksums are verified."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import cast

import numpy as np

from ecgkit.datasets.paths import beside, open_binary, read_bytes, read_range, size_and_time
from ecgkit.datasets.wfdb_formats import (
    DIFFERENCES,
    FLAC_BITS,
    FORMATS,
    MISSING_COUNTS,
    Counts,
    open_flac,
    read_flac,
)
from ecgkit.datasets.wfdb_header import Channel, Scheme, WfdbHeader
from ecgkit.errors import RecordError

FLAC_BLOCK = 65_536  # largest number of samples in a FLAC block, which takes at least one byte per channel


@dataclass(frozen=True)
class SegmentLayout:
    """Location of a segment's samples. Between records of one dataset only `files` and `checksums` differ.

    Args:
        files: Names of the signal files, beside the header.
        checksums: Checksum of each row; None where there is none to verify.
        scheme: The rows and their storage.
        initials: First sample of each row; empty if no row is stored as differences.
    """

    files: tuple[str, ...]
    checksums: tuple[int | None, ...]
    scheme: Scheme
    initials: tuple[int, ...] = ()


@dataclass(frozen=True)
class SignalFile:
    """How the rows of one signal file are stored.

    Args:
        format: Name of the format.
        offset: Bytes before the first sample; for FLAC, samples.
        rows: The rows in the record.
        width: Samples per frame of all rows together.
    """

    format: str
    offset: int
    rows: tuple[int, ...]
    width: int


@lru_cache(maxsize=4096)
def files_of(scheme: Scheme) -> tuple[SignalFile, ...]:
    """Return how each signal file is stored.

    Raises:
        RecordError: The format is unknown, or rows of one file differ in format or offset.
    """
    rows: dict[int, list[int]] = {}
    for row, channel in enumerate(scheme.channels):
        rows.setdefault(channel.file, []).append(row)
    files = []
    for own in rows.values():
        channels = [scheme.channels[row] for row in own]
        kinds = sorted({(channel.format, channel.offset) for channel in channels})
        form, offset = kinds[0]
        if len(kinds) > 1:
            raise RecordError(f"one signal file has formats {', '.join(name for name, _ in kinds)}", "one per file")
        if form not in MISSING_COUNTS:
            raise RecordError(f"a signal file has format {form}", f"one of {', '.join(MISSING_COUNTS)}")
        files.append(SignalFile(form, offset, tuple(own), sum(channel.frame for channel in channels)))
    return tuple(files)


def layout_of(header: WfdbHeader) -> SegmentLayout:
    """Return the location of a segment's samples.

    header(5): without a number of samples there is no checksum to verify. Writers that compute none write 0 everywhere.
    """
    is_known = bool(header.samples) and any(header.checksums)
    checksums = header.checksums if is_known else (None,) * len(header.checksums)
    is_change = any(channel.format == DIFFERENCES for channel in header.scheme.channels)
    initials = tuple(initial or 0 for initial in header.initials) if is_change else ()
    return SegmentLayout(header.files, checksums, header.scheme, initials)


def measure(root: Path, path: str, header: WfdbHeader) -> tuple[int, list[tuple[int, float]]]:
    """Return the number of frames, and the size and time of each signal file.

    The number is checked against the sizes, or taken from them if the header does not say it.

    Raises:
        RecordError: A signal file is missing, or shorter than the header says.
    """
    lengths, states = [], []
    for name, file in zip(header.files, files_of(header.scheme), strict=True):
        try:
            size, changed = size_and_time(root, beside(path, name))
        except (FileNotFoundError, NotADirectoryError):
            raise RecordError(f"signal file {name} of {path}.hea does not exist") from None
        wanted = _least_size(file, header.samples or 0)
        if size < wanted:
            raise RecordError(f"{name} is cut short: {size} bytes", f"at least {wanted} bytes")
        states.append((size, changed))
        if not header.samples:
            lengths.append(_frames_in(root, beside(path, name), file, size))
    return header.samples or min(lengths), states


def stamp(raw: bytes, states: object) -> str:
    """Return a hash of a header's text and of the states of its files; see `ecgkit.datasets.header.Header`."""
    return hashlib.blake2b(raw + repr(states).encode(), digest_size=8).hexdigest()


def _least_size(file: SignalFile, frames: int) -> int:
    if file.format in FLAC_BITS:
        return frames * file.width // FLAC_BLOCK
    return FORMATS[file.format].size(frames * file.width) + file.offset


def _frames_in(root: Path, path: str, file: SignalFile, size: int) -> int:
    if file.format not in FLAC_BITS:
        return FORMATS[file.format].count(max(0, size - file.offset)) // file.width
    with open_binary(root, path) as stream, open_flac(stream, path, file.format, len(file.rows)) as sound:
        return (int(sound.frames) - file.offset) * len(file.rows) // file.width


def read_counts(
    root: Path, path: str, frames: int, layout: SegmentLayout, first: int = 0, last: int | None = None
) -> Counts:
    """Return the digital samples ``[L, T]`` of the ECG leads. If all frames are read, checksums are verified.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.
        frames: Number of frames of the segment.
        layout: Location of the samples.
        first: First frame.
        last: Frame after the last one; None for all.

    Raises:
        RecordError: A file has become shorter, or a checksum is wrong.
    """
    wanted = layout.scheme.rows.index
    last = frames if last is None else last
    rows: dict[int, Counts] = {}
    for name, file in zip(layout.files, files_of(layout.scheme), strict=True):
        if not set(file.rows) & set(wanted):
            continue
        channels = [layout.scheme.channels[row] for row in file.rows]
        beyond = max(channel.skew for channel in channels)
        counts = _unpack(root, beside(path, name), file, layout, (first, min(last + beyond, frames)), frames)
        table = _rows_of(counts, channels)
        if (first, last) == (0, frames):
            _check_sums(name, table, file.rows, layout)
        if beyond:
            table = [_shifted(row, channel, last - first) for row, channel in zip(table, channels, strict=True)]
        if file.rows == wanted and isinstance(table, np.ndarray):
            return table
        rows.update(zip(file.rows, table, strict=True))
    return cast(Counts, np.stack([rows[row] for row in wanted]))


def _unpack(root: Path, path: str, file: SignalFile, layout: SegmentLayout, frames: tuple[int, int], of: int) -> Counts:
    """Return the counts of some of the file's frames, in the order of the file; `of` is the number of all frames."""
    first, last = (frame * file.width for frame in frames)
    name = path.rpartition("/")[2]
    if file.format in FLAC_BITS:
        return _unpack_flac(root, path, file, frames)
    kind = FORMATS[file.format]
    begin = 0 if file.format == DIFFERENCES else first // kind.group * kind.group
    size = kind.size(last - begin)
    start = file.offset + begin // kind.group * kind.group_bytes
    is_part = frames != (0, of)
    raw = memoryview(read_range(root, path, start, size) if is_part else read_bytes(root, path)[start:])
    if len(raw) < size:
        raise RecordError(f"{name} is cut short: {len(raw)} bytes", f"{size} bytes")
    counts = kind.unpack(raw, last - begin)
    if file.format == DIFFERENCES:
        counts = _summed(
            counts, [layout.scheme.channels[row] for row in file.rows], [layout.initials[r] for r in file.rows]
        )
    return counts[first - begin :]


def _unpack_flac(root: Path, path: str, file: SignalFile, frames: tuple[int, int]) -> Counts:
    name, per_frame = path.rpartition("/")[2], file.width // len(file.rows)
    with open_binary(root, path) as stream, open_flac(stream, name, file.format, len(file.rows)) as sound:
        wanted = (frames[1] - frames[0]) * per_frame
        samples = read_flac(sound, frames[0] * per_frame + file.offset, wanted)
    if len(samples) < wanted:
        raise RecordError(f"{name} is cut short: {len(samples)} samples", f"{wanted} samples")
    return cast(Counts, samples.reshape(-1, per_frame, len(file.rows)).transpose(0, 2, 1).reshape(-1))


def _summed(changes: Counts, channels: Sequence[Channel], initials: Sequence[int]) -> Counts:
    """Return the samples of format 8: the first sample of each row plus the sum of all changes up to each one."""
    block = changes.reshape(-1, sum(channel.frame for channel in channels)).copy()
    stop = 0
    for channel, initial in zip(channels, initials, strict=True):
        start, stop = stop, stop + channel.frame
        own = block[:, start:stop]
        block[:, start:stop] = (own.reshape(-1).cumsum(dtype=np.int32) + initial).reshape(own.shape)
    return cast(Counts, block.reshape(-1))


def _rows_of(counts: Counts, channels: Sequence[Channel]) -> Counts | list[Counts]:
    """Return the samples row by row: a table if each row has one sample per frame, otherwise a list."""
    widths = [channel.frame for channel in channels]
    if all(width == 1 for width in widths):
        return cast(Counts, np.array(counts.reshape(-1, len(channels)).T, order="C"))
    block = counts.reshape(-1, sum(widths))
    return [block[:, stop - width : stop].reshape(-1) for stop, width in zip(accumulate(widths), widths, strict=True)]


def _shifted(row: Counts, channel: Channel, frames: int) -> Counts:
    """Return a row without the samples that precede the record's first; those beyond the file's end are missing."""
    if channel.format == DIFFERENCES and channel.skew:
        raise RecordError(f"{channel.name} has a skew in format {DIFFERENCES}", "another format, which can mark gaps")
    own = row[channel.skew * channel.frame :][: frames * channel.frame]
    gone = frames * channel.frame - len(own)
    return cast(Counts, np.pad(own, (0, gone), constant_values=MISSING_COUNTS[channel.format] if gone else 0))


def _check_sums(file: str, table: Counts | list[Counts], rows: tuple[int, ...], layout: SegmentLayout) -> None:
    """Compare the checksums of the ECG leads: the lowest 16 bits of the sum of all samples."""
    if isinstance(table, np.ndarray) and table.dtype == np.int16:
        sums = table.sum(1, dtype=np.int16).tolist()
    else:
        sums = [int(row.sum(dtype=np.int64)) for row in table]
    for row, found in zip(rows, sums, strict=True):
        expected = layout.checksums[row]
        if expected is not None and (expected - found) & 0xFFFF and row in layout.scheme.rows.index:
            name = layout.scheme.channels[row].name
            raise RecordError(
                f"{file} lead {name} has checksum {found & 0xFFFF}", f"{expected & 0xFFFF} as its header says"
            )
