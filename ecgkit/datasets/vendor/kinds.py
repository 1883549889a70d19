"""Tell the kind of an ECG file from its first bytes; its name only says whether to look, or breaks a tie."""

import re
import struct
from dataclasses import dataclass
from pathlib import PurePosixPath

HEAD = 8192


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        name: Name, as users know it.
        library: Package that reads it.
        expansion: Bytes of memory that reading takes per byte of the file, at most.
    """

    name: str
    library: str
    expansion: float


AECG = Kind("HL7 aECG", "ecgdatakit", 20)
SIERRA = Kind("Philips Sierra XML", "ecgdatakit", 20)
MUSE = Kind("GE MUSE XML", "ecgdatakit", 20)
MORTARA = Kind("Mortara XML", "ecgdatakit", 20)
KARDIA = Kind("AliveCor Kardia JSON", "ecgdatakit", 30)
DICOM = Kind("DICOM waveform", "ecgdatakit", 10)
SCP = Kind("SCP-ECG", "ecgdatakit", 100)  # a sample may take one bit
ISHNE = Kind("ISHNE Holter", "ecgdatakit", 8)
MFER = Kind("MFER", "ecgdatakit", 16)
EDF = Kind("EDF", "edfio", 6)
BDF = Kind("BDF", "edfio", 8)
HEALFORCE = Kind("Healforce SCP", "ecgkit", 20)
KINDS = (AECG, SIERRA, MUSE, MORTARA, KARDIA, DICOM, SCP, ISHNE, MFER, EDF, BDF, HEALFORCE)

# Files with these suffixes are ECGs, or are reported; files without a suffix, or with one of digits, are looked at.
SUFFIXES = frozenset(
    (".aecg", ".bdf", ".dcm", ".dicom", ".ecg", ".edf", ".hl7", ".mfer", ".mfr", ".mwf", ".scp", ".xml")
)
_LOOKED_AT = SUFFIXES | {"", ".json", ".rec", ".ima"}
_ROOTS = {"annotatedecg": AECG, "restingecgdata": SIERRA, "restingecg": MUSE, "ecg": MORTARA}
_PROLOG = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(\[.*?\]\s*)?>", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)")


def is_candidate(name: str) -> bool:
    """Return whether a file's name allows that it is such an ECG."""
    suffix = PurePosixPath(name).suffix.lower()
    return not name.startswith(".") and name != "DICOMDIR" and (suffix in _LOOKED_AT or suffix[1:].isdigit())


def kind_of(head: bytes, name: str = "") -> Kind | None:
    """Return the kind of a file; None if it is none of those that are known.

    Args:
        head: The first `HEAD` bytes of the file, or all if it has fewer.
        name: Name of the file.
    """
    if head[128:132] == b"DICM":
        return DICOM
    if head.startswith(b"ISHNE1.0"):
        return ISHNE
    if head.startswith(b"\xffBIOSEMI"):
        return BDF
    if head.startswith(b"0       ") and head[252:256].strip().isdigit():
        return EDF
    return _scp(head) or _mfer(head, name) or _text(head)


def _scp(head: bytes) -> Kind | None:
    """Section 0 comes first and points at itself: at byte 7, or at byte 6 in the form of Healforce devices."""
    if len(head) < 32:
        return None
    section, length = struct.unpack_from("<HI", head, 8)
    if section or length < 26 or (length - 16) % 10 or struct.unpack_from("<H", head, 22)[0]:
        return None
    return {7: SCP, 6: HEALFORCE}.get(struct.unpack_from("<I", head, 28)[0])


def _mfer(head: bytes, name: str) -> Kind | None:
    has_preamble = head[:1] == b"\x40" and head[2:6] == b"MFR "
    return MFER if has_preamble or PurePosixPath(name).suffix.lower() in (".mwf", ".mfer", ".mfr") else None


def _text(head: bytes) -> Kind | None:
    text = _decoded(head).lstrip("\ufeff \t\r\n")
    if text.startswith("{"):
        return KARDIA if '"recordedAt"' in text else None
    if not text.startswith("<"):
        return None
    while match := _PROLOG.match(text):
        text = text[match.end() :]
    root = _ROOT.match(text)
    return _ROOTS.get(root[1].lower()) if root else None


def _decoded(head: bytes) -> str:
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return head.decode("utf-16" if wide else "utf-8", errors="ignore")
