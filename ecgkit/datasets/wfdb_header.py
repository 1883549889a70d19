"""Parse plain WFDB headers: one segment, one sample per frame, no skew.

Format: header(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm. Headers that break
the rules in a common way are read too: a record line that names the signal file (``E00271.mat``) or puts the date
before the time, units in any case, comments in any encoding, a missing number of samples. All other headers are left
to wfdb.

Within one dataset, headers differ only in file names, first samples and checksums. The rest is parsed once.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ecgkit.datasets.channels import AS_WRITTEN, NO_UNIT, Naming, Rows, find_rows

DEFAULT_FS = 250.0
DEFAULT_GAIN = 200.0

_FS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(?:/.*)?")
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GAIN = re.compile(rf"({_NUMBER})(?:\((-?\d+)\))?(?:/(\S*))?")
# A signal line. Optional fields may be left out, but only at its end.
_LINE = re.compile(
    rf"(\S+)[ \t]+(\d\S*)(?:[ \t]+({_NUMBER}(?:\(\S*|/\S*)?)(?=[ \t]|$))?"
    + r"(?:[ \t]+(-?\d+)(?=[ \t]|$))?" * 5
    + r"(.*)"
)


class NotPlain(Exception):  # noqa: N818  a finding, not a failure
    """The header is not plain, or could not be parsed."""


@dataclass(frozen=True)
class Channel:
    """Storage of one row, from its signal line.

    Args:
        file: Index of the row's file among the header's files.
        format: WFDB storage format, such as ``16``.
        offset: Bytes before the first sample.
        gain: Counts per unit.
        baseline: The count that stands for 0.
        unit: Unit as written; ``NU`` if the gain is 0 or missing, which means that the amplitude is not calibrated.
        name: Description of the row.
        adc_bits: ADC resolution in bits; 0 if unknown.
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
    """The part of a header that many records share: the rows, their storage, and which rows are ECG leads.

    Equal schemes are one object within a process, so results that depend on a scheme can be cached by its identity.
    """

    channels: tuple[Channel, ...]
    naming: Naming = AS_WRITTEN

    @cached_property
    def rows(self) -> Rows:
        """The rows that are ECG leads.

        Raises:
            RecordError: No row is an ECG lead.
        """
        names, units = [channel.name for channel in self.channels], [channel.unit for channel in self.channels]
        return find_rows(names, units, self.naming)


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """A plain header.

    Args:
        name: Record name from the record line.
        fs: Sampling rate in Hz.
        samples: Samples per row; None if the header does not say.
        files: Names of the signal files.
        scheme: The rows and their storage.
        initials: First sample of each row, as the header says.
        checksums: Checksum of each row; None where the header gives none.
        comments: Comments without their marks.
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
    """Return a header's text. If it is not valid UTF-8 it is read as Latin-1, in which every byte is a character."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def wfdb_lines(raw: bytes) -> list[str]:
    """Return the lines of a header that are neither empty nor comments, split exactly as wfdb splits them.

    Like wfdb, this first drops every byte that is not ASCII, and also splits lines at a form feed.
    """
    return list(_significant(raw))


def first_wfdb_line(raw: bytes) -> str:
    """Return the record line, the first of `wfdb_lines`; empty if there is none."""
    return next(_significant(raw), "")


def _significant(raw: bytes) -> Iterator[str]:
    for line in raw.decode("ascii", "ignore").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line


def parse_header(raw: bytes, naming: Naming = AS_WRITTEN) -> WfdbHeader:
    """Parse a plain header.

    Args:
        raw: Content of the file.
        naming: What the user says of names and units.

    Raises:
        NotPlain: The header is of another kind, or breaks the rules in an uncommon way.
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
        _scheme(tuple(tokens), naming),
        tuple(initials),
        tuple(checksums),
        tuple(comments),
    )


def _record_line(line: str) -> tuple[str, int, float, int | None]:
    """Return the record's name, the number of signals, the sampling rate, and the number of samples, if given."""
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
    """Return file, format, gain, ADC bits and ADC zero as written, then first sample, checksum and description."""
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
def _scheme(tokens: tuple[tuple[int, str, str, str, str, str], ...], naming: Naming) -> Scheme:
    return Scheme(tuple(_channel(*token) for token in tokens), naming)


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
