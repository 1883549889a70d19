"""Read the samples of a plain WFDB record with numpy: sizes and checksums are verified, amplitudes are exact.

Formats: signal(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/signal-5.htm. Each format
interleaves the rows of a file (rows 1, 2, ... of sample 0, then of sample 1, ...), and reserves one count for a
missing sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.paths import beside, read_bytes, size_of
from ecgkit.datasets.wfdb_header import Channel, NotPlain, Scheme, WfdbHeader
from ecgkit.errors import RecordError
from ecgkit.recording import Amplitudes
from ecgkit.signal.microvolts import LIMIT, MISSING

Counts = NDArray[np.int16] | NDArray[np.int32]


@dataclass(frozen=True)
class Format:
    """A storage format of WFDB.

    Args:
        bits: Bits per sample.
        missing: The count that marks a missing sample.
        unpack: Unpacks a number of counts from bytes.
    """

    bits: int
    missing: int
    unpack: Callable[[memoryview, int], Counts]

    def size(self, samples: int) -> int:
        """Return the number of bytes that hold this many samples."""
        return -(-samples * self.bits // 8)


def _unpack_212(raw: memoryview, count: int) -> NDArray[np.int16]:
    """Unpack pairs of 12-bit samples from three bytes: low byte, both high nibbles (first sample in the lower half),
    low byte.
    """
    pairs = -(-count // 2)
    packed = np.frombuffer(bytes(raw[: 3 * pairs]).ljust(3 * pairs, b"\0"), np.uint8).reshape(pairs, 3).astype(np.int16)
    out = np.empty((pairs, 2), np.int16)
    out[:, 0] = packed[:, 0] | (packed[:, 1] & 0x0F) << 8
    out[:, 1] = packed[:, 2] | (packed[:, 1] & 0xF0) << 4
    return ((out.reshape(-1)[:count] ^ 0x800) - 0x800).astype(np.int16)


def _unpack_24(raw: memoryview, count: int) -> NDArray[np.int32]:
    packed = np.frombuffer(raw, np.uint8, 3 * count).reshape(count, 3).astype(np.int32)
    return (packed[:, 0] | packed[:, 1] << 8 | packed[:, 2] << 16) - ((packed[:, 2] >> 7) << 24)


FORMATS = {
    "16": Format(16, -(1 << 15), lambda raw, n: np.frombuffer(raw, "<i2", n)),
    "61": Format(16, -(1 << 15), lambda raw, n: np.frombuffer(raw, ">i2", n).astype(np.int16)),
    "160": Format(16, -(1 << 15), lambda raw, n: (np.frombuffer(raw, "<u2", n) ^ 0x8000).view(np.int16)),
    "80": Format(8, -(1 << 7), lambda raw, n: np.frombuffer(raw, np.uint8, n).astype(np.int16) - np.int16(128)),
    "212": Format(12, -(1 << 11), _unpack_212),
    "24": Format(24, -(1 << 23), _unpack_24),
    "32": Format(32, -(1 << 31), lambda raw, n: np.frombuffer(raw, "<i4", n)),
}


@dataclass(frozen=True)
class PlainLayout:
    """Location of a plain record's samples. Between records of one dataset only `files` and `checksums` differ.

    Args:
        files: Names of the signal files, beside the header.
        checksums: Checksum of each row; None where there is none to verify.
        scheme: The rows and their storage.
    """

    files: tuple[str, ...]
    checksums: tuple[int | None, ...]
    scheme: Scheme


@lru_cache(maxsize=4096)
def files_of(scheme: Scheme) -> tuple[tuple[Format, int, tuple[int, ...]], ...]:
    """Return each signal file's format, the number of bytes before its first sample, and its rows in the record.

    Raises:
        NotPlain: The format is not supported here, or rows of one file differ in format or offset.
    """
    rows: dict[int, list[int]] = {}
    for row, channel in enumerate(scheme.channels):
        rows.setdefault(channel.file, []).append(row)
    files = []
    for own in rows.values():
        kinds = {(scheme.channels[row].format, scheme.channels[row].offset) for row in own}
        name, offset = kinds.pop()
        if kinds or name not in FORMATS:
            raise NotPlain(f"format {name}")
        files.append((FORMATS[name], offset, tuple(own)))
    return tuple(files)


def measure(root: Path, path: str, header: WfdbHeader) -> int:
    """Return the number of samples per row, checked against the sizes of the signal files.

    Raises:
        NotPlain: See `files_of`.
        RecordError: A signal file is missing, or shorter than the header says.
    """
    lengths = []
    for name, (kind, offset, rows) in zip(header.files, files_of(header.scheme), strict=True):
        try:
            size = size_of(root, beside(path, name))
        except (FileNotFoundError, NotADirectoryError):
            raise RecordError(f"signal file {name} of {path}.hea does not exist") from None
        wanted = kind.size((header.samples or 0) * len(rows)) + offset
        if size < wanted:
            raise RecordError(f"{name} is cut short: {size} bytes", f"at least {wanted} bytes")
        lengths.append((size - offset) * 8 // (kind.bits * len(rows)))
    return min(lengths) if header.samples is None else header.samples


def read_counts(root: Path, path: str, samples: int, layout: PlainLayout) -> Counts:
    """Return the digital samples ``[L, T]`` of the ECG leads, with verified checksums.

    Raises:
        RecordError: A file has become shorter, or a checksum is wrong.
    """
    wanted = layout.scheme.rows.index
    rows: dict[int, Counts] = {}
    for name, (kind, offset, own) in zip(layout.files, files_of(layout.scheme), strict=True):
        if not set(own) & set(wanted):
            continue
        raw = memoryview(read_bytes(root, beside(path, name)))[offset:]
        if len(raw) < kind.size(samples * len(own)):
            raise RecordError(f"{name} is cut short: {len(raw)} bytes", f"{kind.size(samples * len(own))} bytes")
        table = _rows_of(kind.unpack(raw, samples * len(own)), len(own))
        _check_sums(name, table, own, layout)
        if own == wanted:
            return table
        rows.update(zip(own, table, strict=True))
    return cast(Counts, np.stack([rows[row] for row in wanted]))


def _rows_of(counts: Counts, rows: int) -> Counts:
    return cast(Counts, np.array(counts.reshape(-1, rows).T, order="C"))


def _check_sums(file: str, table: Counts, rows: tuple[int, ...], layout: PlainLayout) -> None:
    """Compare the checksums of the ECG leads: the lowest 16 bits of the sum of all samples."""
    sums = table.sum(1, dtype=np.int16).tolist() if table.dtype == np.int16 else table.sum(1, dtype=np.int64).tolist()
    for row, found in zip(rows, sums, strict=True):
        expected = layout.checksums[row]
        if expected is not None and (expected - found) & 0xFFFF and row in layout.scheme.rows.index:
            name = layout.scheme.channels[row].name
            raise RecordError(
                f"{file} lead {name} has checksum {found & 0xFFFF}", f"{expected & 0xFFFF} as its header says"
            )


@dataclass(frozen=True)
class _Scale:
    """Scale from counts to amplitudes, each ``[L, 1]``; `steps` are whole microvolts per count, or None."""

    gains: NDArray[np.float64]
    baselines: NDArray[np.int64]
    missing: NDArray[np.int64]
    millivolts: NDArray[np.float64]
    steps: NDArray[np.int64] | None

    @property
    def is_identity(self) -> bool:
        """Whether 16-bit counts already are microvolts, with missing samples marked as a store marks them."""
        exact = self.steps is not None and bool((self.steps == 1).all())
        return exact and not self.baselines.any() and bool((self.missing == MISSING).all())


@lru_cache(maxsize=4096)
def _scale_of(scheme: Scheme) -> tuple[_Scale, bool]:
    channels: list[Channel] = [scheme.channels[row] for row in scheme.rows.index]
    microvolts = scheme.rows.microvolts
    # Computed from the gain as written: 0.2 counts per microvolt has no exact binary number, but 1/5 is exact.
    steps = [unit / Fraction(repr(channel.gain)) for unit, channel in zip(microvolts, channels, strict=True)]

    def column(values: list, dtype: type) -> NDArray:
        return np.array(values, dtype)[:, None]

    scale = _Scale(
        column([channel.gain for channel in channels], np.float64),
        column([channel.baseline for channel in channels], np.int64),
        column([FORMATS[channel.format].missing for channel in channels], np.int64),
        scheme.rows.millivolts,
        column([int(step) for step in steps], np.int64) if all(step.denominator == 1 for step in steps) else None,
    )
    return scale, scale.is_identity


def to_amplitudes(counts: Counts, scheme: Scheme) -> Amplitudes:
    """Convert digital samples of the ECG leads to whole microvolts where that is exact, else to mV.

    Args:
        counts: Samples ``[L, T]``, as `read_counts` returns them.
        scheme: The record's rows.

    Returns:
        ``[L, T]`` int16 in microvolts, or float64 in mV. For unit ``NU``: thousandths of the unit, or the unit.
    """
    scale, is_identity = _scale_of(scheme)
    if is_identity and counts.dtype == np.int16:
        return cast(NDArray[np.int16], counts)
    missing = counts == scale.missing
    from_zero = counts - scale.baselines
    if scale.steps is not None:
        microvolts = from_zero * scale.steps
        if ((np.abs(microvolts) <= LIMIT) | missing).all():
            microvolts[missing] = MISSING
            return microvolts.astype(np.int16)
    signal = from_zero / scale.gains * scale.millivolts
    signal[missing] = np.nan
    return signal
