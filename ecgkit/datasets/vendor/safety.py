"""Refuse what a library would trust too far: claims that no file can keep, bombs, and checksums that do not fit.

All checks cost time in proportion to the size of the file and hold nothing that the file does not hold.
"""

import base64
import binascii
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator

from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.vendor import kinds
from ecgkit.datasets.vendor.kinds import Kind
from ecgkit.errors import RecordError

_LONGEST_SCP = 16 * 2**20  # bytes; ecgdatakit decodes a megabyte in about 4 s
_UNPACKED = 64 * 2**20  # bytes of one unpacked waveform or dataset
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_XLI = re.compile(r"<parsedwaveforms\b[^>]*>([A-Za-z0-9+/=\s]*)</parsedwaveforms>")


def check_size(kind: Kind, size: int, path: str) -> None:
    """Refuse a file that would need more memory than one record may have.

    Raises:
        RecordError: It would.
    """
    check_memory(size * kind.expansion, path, bytes_per_sample=1)
    if kind is kinds.SCP and size > _LONGEST_SCP:
        raise RecordError(f"{path} has {size / 2**20:,.0f} MB, which is too much for one record in {kind.name}")


def check_content(kind: Kind, raw: bytes) -> None:
    """Refuse a file that would unpack to far more than it is, or that claims more than it holds.

    Raises:
        RecordError: It would.
    """
    if kind is kinds.DICOM:
        _check_dicom(raw)
    elif kind is kinds.SIERRA:
        _check_sierra(raw)
    elif kind is kinds.SCP:
        _check_scp(raw)


def _check_dicom(raw: bytes) -> None:
    """The size of each waveform has to be that of its channels and samples: pydicom takes a wrong one for less."""
    if _DEFLATED in raw[:1024]:
        _check_deflated(raw)
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(raw))
    for item in dataset.get("WaveformSequence") or ():
        size = len(item.get("WaveformData") or b"")
        shape = [int(item.get(name) or 0) for name in ("NumberOfWaveformChannels", "NumberOfWaveformSamples")]
        wanted = math.prod(shape) * int(item.get("WaveformBitsAllocated") or 0) // 8
        if size != wanted + wanted % 2:
            raise RecordError(f"a waveform of {shape[0]} channels and {shape[1]:,} samples has {size:,} bytes")


def _check_deflated(raw: bytes) -> None:
    """Unpack a dataset in small pieces, which are counted and dropped."""
    if len(raw) < 144:
        raise RecordError("the file ends within its header")
    start = 144 + struct.unpack_from("<I", raw, 140)[0]  # after the group length of the file meta information
    unpacker, waiting, size = zlib.decompressobj(-zlib.MAX_WBITS), raw[start:], 0
    while waiting and not unpacker.eof:
        try:
            size += len(unpacker.decompress(waiting, 2**20))
        except zlib.error as error:
            raise RecordError(f"the deflated dataset cannot be unpacked ({error})") from None
        waiting = unpacker.unconsumed_tail
        if size > _UNPACKED:
            raise RecordError(f"the deflated dataset unpacks to more than {_UNPACKED >> 20} MB")


def _check_sierra(raw: bytes) -> None:
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    for match in _XLI.finditer(raw.decode("utf-16" if wide else "latin-1", errors="replace")):
        try:
            packed = base64.b64decode("".join(match[1].split()))
        except binascii.Error:
            continue  # ecgdatakit tells what is wrong
        if sum(_lzw_sizes(packed)) > _UNPACKED:
            raise RecordError(f"the waveform unpacks to more than {_UNPACKED >> 20} MB")


def _lzw_sizes(packed: bytes) -> Iterator[int]:
    """Yield the unpacked size of each lead of a Philips XLI waveform, from the lengths of the strings alone."""
    place = 0
    while place + 8 <= len(packed):
        size = struct.unpack_from("<i", packed, place)[0]
        if size <= 0:
            return
        yield _lzw_size(packed[place + 8 : place + 8 + size])
        place += 8 + size


def _lzw_size(chunk: bytes) -> int:
    lengths, before, total = [1] * 256, 0, 0
    for place in range(len(chunk) * 8 // 10):
        bits = place * 10
        code = int.from_bytes(chunk[bits // 8 : bits // 8 + 2], "big") >> (6 - bits % 8) & 0x3FF
        length = lengths[code] if code < len(lengths) else before + 1
        if before and len(lengths) < 1023:
            lengths.append(before + 1)
        before = length
        total += length
    return total


def _check_scp(raw: bytes) -> None:
    """The leads of section 3 may not claim more samples than there are bits."""
    for number, start, length in scp_sections(raw):
        if number != 3 or start + 18 > len(raw):
            continue
        body = raw[start + 16 : start + length]
        ranges = [struct.unpack_from("<II", body, place) for place in range(2, len(body) - 8, 9)][: body[0]]
        claimed = sum(max(0, last - first + 1) for first, last in ranges)
        if claimed > 8 * len(raw):
            raise RecordError(f"the leads claim {claimed:,} samples, but the file has {len(raw):,} bytes")


def scp_sections(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, first byte and length of each section that section 0 of an SCP file lists."""
    end = min(len(raw), 6 + struct.unpack_from("<I", raw, 10)[0])
    for place in range(22, end - 9, 10):
        number, length, index = struct.unpack_from("<HII", raw, place)
        if length and 0 < index <= len(raw):
            yield number, index - 1, length


def has_scp_checksums(raw: bytes) -> bool:
    """Return whether the writer of an SCP file computed checksums; some leave all of them at 0."""
    starts = [0, *(start for _, start, _ in scp_sections(raw))]
    return any(raw[start : start + 2] != b"\0\0" for start in starts)
