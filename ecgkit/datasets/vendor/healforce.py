"""Read the SCP form of Healforce hand-held devices, which is not that of the standard and which no library reads.

Source: a file of such a device, and the notes of github.com/KaibinBao/healforcescpecg. Sections are counted from byte
0, times are big-endian, and section 6 holds all leads sample by sample, 4 samples of 12 bits in 3 words of 16 bits. A
word has a sample in its bits 0 to 9 and marks of beats in bits 14 and 15; its bits 10 to 13 are a third of the fourth
sample. A sample is in steps of 10 uV, with 512 for 0.

The file does not name its leads. In a file with three leads, the second is the sum of the first and the third, as II is
of I and III; they are named so. Other numbers of leads are not named, so `--lead-names` has to name them.
"""

import struct
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.vendor.contents import Channel, Contents
from ecgkit.errors import RecordError

_MICROVOLTS = 10.0
_ZERO = 512
_LEADS = {3: ("I", "II", "III"), 1: ("channel 1",), 2: ("channel 1", "channel 2")}


def read_healforce(file: Path) -> Contents:
    """Read a file.

    Raises:
        RecordError: A section is missing, or the file ends within one.
    """
    raw = file.read_bytes()
    sections = _sections(raw)
    missing = {3, 6} - sections.keys()
    if missing:
        raise RecordError(f"section {min(missing)} is missing")
    leads = sections[3][0]
    if leads not in _LEADS:
        raise RecordError(f"the file states {leads} leads", "1 to 3")
    fs, size = struct.unpack_from("<H", sections[6], 2)[0], struct.unpack_from("<H", sections[6], 6)[0]
    packed = sections[6][8 : 8 + size]
    if len(packed) < size or not fs:
        raise RecordError(f"section 6 states {size:,} bytes at {fs} Hz, but holds {len(packed):,} bytes")
    samples = _unpack(packed, leads)
    channels = [
        Channel(name, "uV", float(fs), len(values), partial(np.multiply, values, _MICROVOLTS))
        for name, values in zip(_LEADS[leads], samples, strict=True)
    ]
    patient, facts = _patient(sections.get(1, b""))
    return Contents(channels, facts | {"manufacturer": "Healforce"}, patient)


def _sections(raw: bytes) -> dict[int, bytes]:
    """Return the content of each section, without its header of 16 bytes."""
    end = min(len(raw), 6 + struct.unpack_from("<I", raw, 10)[0])
    found: dict[int, bytes] = {}
    for place in range(22, end - 9, 10):
        number, length, start = struct.unpack_from("<HII", raw, place)
        if length and start + length > len(raw):
            raise RecordError(f"section {number} ends at byte {start + length:,} of {len(raw):,}")
        if length > 16:
            found[number] = raw[start + 16 : start + length]
    return found


def _unpack(packed: bytes, leads: int) -> NDArray[np.float64]:
    """Return the samples ``[L, T]`` in steps of the device."""
    words = np.frombuffer(packed[: len(packed) // 6 * 6], "<u2").reshape(-1, 3).astype(np.int64)
    parts = words >> 10 & 0xF
    fourth = parts[:, 0] << 8 | parts[:, 1] << 4 | parts[:, 2]
    samples = (np.column_stack([words, fourth]) & 0x3FF).ravel() - _ZERO
    return samples[: len(samples) // leads * leads].reshape(-1, leads).T.astype(np.float64)


def _patient(body: bytes) -> tuple[str | None, dict[str, str]]:
    """Return the patient's id and the time, from the tags of section 1."""
    tags: dict[int, bytes] = {}
    place = 0
    while place + 3 <= len(body) and (length := struct.unpack_from("<H", body, place + 1)[0]):
        tags[body[place]] = body[place + 3 : place + 3 + length]
        place += 3 + length
    patient = tags.get(2, b"").split(b"\0")[0].decode("utf-8", "replace").strip(" 0")  # 00000 if none was given
    try:
        when = datetime(*struct.unpack(">HBB", tags[25]), *struct.unpack(">BBB", tags[26])).isoformat()
    except (KeyError, ValueError, struct.error):
        return patient or None, {}
    return patient or None, {"acquired": when}
