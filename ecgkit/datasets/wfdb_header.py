"""Parsing a WFDB header of the plain kind: one segment, one sample a frame, no skew.

header(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm. Headers that break its
rules in a common way are read too: a record line that names the signal file (``E00271.mat``) or puts the date before
the time, units in any case, comments in any encoding, no number of samples. What is not plain is left to wfdb.

Of the lines of one dataset only the file name, the first sample and the checksum differ; the rest is parsed once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ecgkit.datasets.channels import NO_UNIT, Rows, find_rows

DEFAULT_FS = 250.0
DEFAULT_GAIN = 200.0

_FS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:/.*)?")
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GAIN = re.compile(rf"({_NUMBER})(?:\((-?\d+)\))?(?:/(\S*))?")
# A signal line that leaves out some of its optional fields, which must be the last ones.
_LINE = re.compile(
    rf"(\S+)[ \t]+(\d\S*)(?:[ \t]+({_NUMBER}(?:\(\S*|/\S*)?)(?=[ \t]|$))?"
    + r"(?:[ \t]+(-?\d+)(?=[ \t]|$))?" * 5
    + r"(.*)"
)


class NotPlain(Exception):  # noqa: N818  a finding, not a failure
    """The header is not of the plain kind, or not understood."""


@dataclass(frozen=True)
class Channel:
    """What a signal line says about every sample of its row.

    Args:
        file: The row's file, as an index into the header's files.
        format: WFDB storage format, such as ``16``.
        offset: Bytes before the first sample.
        gain: Counts a unit.
        baseline: The count that stands for 0.
        unit: As written; ``NU`` where the gain is 0 or missing, which means that the amplitude is not calibrated.
        name: The description.
        adc_bits: ADC resolution in bits, 0 where unknown.
        adc_zero: The count in the middle of the ADC's range.
    """

    file: int
    format: str
    offset: int
    gain: float
    baseline: int
    unit: str
    name: str
    adc_bits: int
    adc_zero: int


@dataclass(frozen=True, eq=False)
class Scheme:
    """What the headers of many records have in common: the rows, how they are stored, and which are ECG leads.

    Equal ones are one object within a process, so that what follows from one is found by its identity.
    """

    channels: tuple[Channel, ...]

    @cached_property
    def rows(self) -> Rows:
        """Which of them are ECG leads.

        Raises:
            RecordError: None is.
        """
        return find_rows([channel.name for channel in self.channels], [channel.unit for channel in self.channels])


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """A plain header.

    Args:
        name: From the record line.
        fs: In Hz.
        samples: Samples a row, or None where the header doesn't say.
        files: Names of the signal files.
        scheme: The rows.
        initials: First sample of each row, as the header says.
        checksums: Checksum of each row, or None where the header gives none.
        comments: Without their marks.
    """

    name: str
    fs: float
    samples: int | None
    files: tuple[str, ...]
    scheme: Scheme
    initials: tuple[int | None, ...]
    checksums: tuple[int | None, ...]
    comments: tuple[str, ...]


def decode_text(raw: bytes) -> str:
    """Return a header's text; one that is not UTF-8 is taken for Latin-1, where every byte is a letter."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def wfdb_lines(raw: bytes) -> list[str]:
    """Return the lines of a header that are neither empty nor comments, broken exactly where wfdb breaks them.

    wfdb drops every byte that is not ASCII first, and breaks lines at a form feed too.
    """
    return list(_significant(raw))


def first_wfdb_line(raw: bytes) -> str:
    """Return the first of `wfdb_lines`, the record line; empty if there is none."""
    return next(_significant(raw), "")


def _significant(raw: bytes) -> Iterator[str]:
    for line in raw.decode("ascii", "ignore").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def parse_header(raw: bytes) -> WfdbHeader:
    """Parse a plain header.

    Args:
        raw: The file's content.

    Raises:
        NotPlain: It is of another kind, or breaks the rules in an uncommon way.
    """
    lines, comments = [], []
    for line in decode_text(raw).split("\n"):
        line = line.strip()
        if line.startswith("#"):
            comments.append(line.strip(" \t#"))
        elif line:
            lines.append(line)
    if not lines:
        raise NotPlain("an empty header")
    name, signals, fs, samples = _record_line(lines[0])
    if not signals or len(lines) != signals + 1:
        raise NotPlain(f"{len(lines) - 1} signal lines for {signals} signals")
    files: dict[str, int] = {}
    tokens, initials, checksums = [], [], []
    for line in lines[1:]:
        file, *token, initial, checksum, description = _signal_line(line)
        tokens.append((files.setdefault(file, len(files)), *token, description))
        initials.append(initial)
        checksums.append(checksum)
    return WfdbHeader(
        name,
        fs,
        samples,
        tuple(files),
        _scheme(tuple(tokens)),
        tuple(initials),
        tuple(checksums),
        tuple(comments),
    )


def _record_line(line: str) -> tuple[str, int, float, int | None]:
    """Return the record's name, the number of signals, the rate, and the number of samples if there is one."""
    name, *rest = line.split()
    if "/" in name or not rest or not rest[0].isdecimal():
        raise NotPlain(f"record line {line[:80]!r}")
    fs, samples = DEFAULT_FS, None
    if len(rest) > 1:
        match = _FS.fullmatch(rest[1])
        if not match:
            raise NotPlain(f"rate {rest[1][:20]!r}")
        fs = float(match[1])
    if len(rest) > 2:
        if not rest[2].isdecimal():
            raise NotPlain(f"number of samples {rest[2][:20]!r}")
        samples = int(rest[2])
    return name, int(rest[0]), fs, samples


def _signal_line(line: str) -> tuple[str, str, str, str, str, int | None, int | None, str]:
    """Return file, format, gain, bits and zero of the ADC as written; first sample and checksum; the description."""
    parts = line.split(None, 8)
    if len(parts) >= 8:
        try:
            int(parts[3]), int(parts[4]), int(parts[7])
            return (*parts[:5], int(parts[5]), int(parts[6]), parts[8] if len(parts) > 8 else "")  # type: ignore[return-value]
        except ValueError:
            pass
    match = _LINE.fullmatch(line)
    if not match:
        raise NotPlain(f"signal line {line[:80]!r}")
    file, form, gain, bits, zero, initial, checksum, _, description = match.groups()
    return (
        file,
        form,
        gain or "",
        bits or "",
        zero or "",
        int(initial) if initial else None,
        int(checksum) if checksum else None,
        description.strip(),
    )


@lru_cache(maxsize=4096)
def _scheme(tokens: tuple[tuple[int, str, str, str, str, str], ...]) -> Scheme:
    return Scheme(tuple(_channel(*token) for token in tokens))


def _channel(file: int, form: str, gain: str, bits: str, zero: str, name: str) -> Channel:
    parsed, scale = _FORMAT.fullmatch(form), _GAIN.fullmatch(gain or "0")
    if not parsed or not scale:
        raise NotPlain(f"format {form[:20]!r} and gain {gain[:40]!r}")
    if parsed[2] not in (None, "1") or parsed[3] not in (None, "0"):
        raise NotPlain("several samples per frame, or a skew")
    counts, baseline, unit = float(scale[1]), scale[2], scale[3] or "mV"
    return Channel(
        file=file,
        format=parsed[1],
        offset=int(parsed[4] or 0),
        gain=counts or DEFAULT_GAIN,
        baseline=int(baseline or zero or 0),
        unit=unit if counts else NO_UNIT.upper(),
        name=name,
        adc_bits=int(bits or 0),
        adc_zero=int(zero or 0),
    )
