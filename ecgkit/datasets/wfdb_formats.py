"""Storage formats of WFDB signal files: how counts are packed into bytes.

Formats: signal(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/signal-5.htm. Each format
interleaves the rows of a file (rows 1, 2, ... of frame 0, then of frame 1, ...), and all but format 8 reserve one count
for a missing sample. FLAC files (508, 516, 524) are read with soundfile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import RecordError

Counts = NDArray[np.int16] | NDArray[np.int32]

NEVER = -(1 << 40)  # the count of a missing sample in a format that has none
_FLAC_BLOCK = 1 << 20  # samples read at once; memory grows with what is really there, not with what a header claims


@dataclass(frozen=True)
class Format:
    """A storage format of WFDB.

    Args:
        group: Samples per group of whole bytes.
        group_bytes: Bytes of a group.
        missing: The count that marks a missing sample; None if the format has none.
        unpack: Unpacks a number of counts from bytes that begin with a group.
        tails: Bytes of 1, 2, ... samples at the end of a file that do not fill a group.
    """

    group: int
    group_bytes: int
    missing: int | None
    unpack: Callable[[memoryview, int], Counts]
    tails: tuple[int, ...] = ()

    def size(self, samples: int) -> int:
        """Return the number of bytes that hold this many samples."""
        groups, left = divmod(samples, self.group)
        return groups * self.group_bytes + (self.tails[left - 1] if left else 0)

    def count(self, size: int) -> int:
        """Return the largest number of samples that this many bytes hold."""
        groups, left = divmod(size, self.group_bytes)
        return groups * self.group + sum(tail <= left for tail in self.tails)


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


def _unpack_310(raw: memoryview, count: int) -> NDArray[np.int16]:
    """Unpack three 10-bit samples from two 16-bit words: bits 1-10 of each, and bits 11-15 of both."""
    groups = -(-count // 3)
    words = np.frombuffer(bytes(raw[: 4 * groups]).ljust(4 * groups, b"\0"), "<u2").reshape(groups, 2).astype(np.int16)
    high = (words >> 11) & 0x1F
    out = np.stack([words[:, 0] >> 1, words[:, 1] >> 1, high[:, 0] | high[:, 1] << 5], axis=1)
    return _signed_10(out, count)


def _unpack_311(raw: memoryview, count: int) -> NDArray[np.int16]:
    """Unpack three 10-bit samples from one 32-bit word, the first in its lowest bits."""
    groups = -(-count // 3)
    words = np.frombuffer(bytes(raw[: 4 * groups]).ljust(4 * groups, b"\0"), "<u4")
    return _signed_10(np.stack([words, words >> 10, words >> 20], axis=1).astype(np.int32), count)


def _signed_10(values: NDArray, count: int) -> NDArray[np.int16]:
    return (((values.reshape(-1)[:count] & 0x3FF) ^ 0x200) - 0x200).astype(np.int16)


def _unpack_24(raw: memoryview, count: int) -> NDArray[np.int32]:
    packed = np.frombuffer(raw, np.uint8, 3 * count).reshape(count, 3).astype(np.int32)
    return (packed[:, 0] | packed[:, 1] << 8 | packed[:, 2] << 16) - ((packed[:, 2] >> 7) << 24)


DIFFERENCES = "8"  # each byte is the change from the sample before it; the first sample is in the header
FORMATS = {
    "16": Format(1, 2, -(1 << 15), lambda raw, n: np.frombuffer(raw, "<i2", n)),
    "61": Format(1, 2, -(1 << 15), lambda raw, n: np.frombuffer(raw, ">i2", n).astype(np.int16)),
    "160": Format(1, 2, -(1 << 15), lambda raw, n: (np.frombuffer(raw, "<u2", n) ^ 0x8000).view(np.int16)),
    "80": Format(1, 1, -(1 << 7), lambda raw, n: np.frombuffer(raw, np.uint8, n).astype(np.int16) - np.int16(128)),
    DIFFERENCES: Format(1, 1, None, lambda raw, n: np.frombuffer(raw, np.int8, n).astype(np.int32)),
    "212": Format(2, 3, -(1 << 11), _unpack_212, (2,)),
    "310": Format(3, 4, -(1 << 9), _unpack_310, (2, 4)),
    "311": Format(3, 4, -(1 << 9), _unpack_311, (2, 3)),
    "24": Format(1, 3, -(1 << 23), _unpack_24),
    "32": Format(1, 4, -(1 << 31), lambda raw, n: np.frombuffer(raw, "<i4", n)),
}
FLAC_BITS = {"508": 8, "516": 16, "524": 24}
MISSING_COUNTS = {
    **{name: NEVER if kind.missing is None else kind.missing for name, kind in FORMATS.items()},
    **{name: -(1 << (bits - 1)) for name, bits in FLAC_BITS.items()},
}


def open_flac(stream: BufferedIOBase, name: str, form: str, channels: int) -> Any:
    """Open a FLAC file.

    Args:
        stream: The file.
        name: Its name, for errors.
        form: Format that its header gives.
        channels: Number of rows that its header gives.

    Raises:
        RecordError: soundfile is not installed, or the file has another resolution or number of channels.
    """
    try:
        import soundfile
    except ImportError:
        raise RecordError(
            f"{name} is a FLAC file, which needs soundfile", remedy="Run: pip install soundfile"
        ) from None
    sound = soundfile.SoundFile(stream)
    if sound.format != "FLAC" or sound.channels != channels:
        raise RecordError(f"{name} has {sound.channels} channels as {sound.format}", f"{channels} as FLAC")
    bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(sound.subtype, 32)
    if bits > FLAC_BITS[form]:
        raise RecordError(f"{name} has {bits} bits per sample", f"at most {FLAC_BITS[form]} for format {form}")
    return sound


def read_flac(sound: Any, first: int, count: int) -> Counts:
    """Return up to `count` samples per channel from sample `first`, ``[T, C]``."""
    bits = {"PCM_S8": 8, "PCM_16": 16}.get(sound.subtype, 24)
    sound.seek(first)
    blocks: list[NDArray[np.int32]] = []
    while count > 0:
        block = sound.read(min(count, _FLAC_BLOCK), dtype="int32", always_2d=True)
        if not len(block):
            break
        blocks.append(block >> (32 - bits))
        count -= len(block)
    whole = np.concatenate(blocks) if blocks else np.empty((0, sound.channels), np.int32)
    return cast(Counts, whole if bits == 24 else whole.astype(np.int16))
