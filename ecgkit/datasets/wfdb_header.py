"""Parse WFDB headers.

Format: header(5) of the WFDB Applications Guide, https://physionet.org/physiotools/wag/header-5.htm. Headers that break
the rules in a common way are read too: a record line that names the signal file (``E00271.mat``), a date in any form,
units in any case, comments in any encoding, a missing number of samples, further lines that are no signal lines.

Within one dataset, headers differ only in file names, first samples and checksums. The rest is parsed once.
"""

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isfinite

from ecgkit.datasets.channels import AS_WRITTEN, NO_UNIT, Naming, Rows, find_rows
from ecgkit.errors import RecordError

DEFAULT_FS = 250.0
DEFAULT_GAIN = 200.0

LONGEST_LINE = 4096  # characters of a record line, a signal line or a segment line

_FS = re.compile(r"\+?((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:/.*)?")
_FORMAT = re.compile(r"(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?")
_NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_GAIN = re.compile(rf"({_NUMBER})(?:\((-?\d+)\))?(?:/(\S*))?")
# A signal line. Optional fields may be left out, but only at its end.
_LINE = re.compile(
    rf"(\S+)[ \t]+(\d\S*)(?:[ \t]+({_NUMBER}(?:\(\S*|/\S*)?)(?=[ \t]|$))?"
    + r"(?:[ \t]+(-?\d+)(?=[ \t]|$))?" * 5
    + r"(.*)"
)


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
        frame: Samples per frame.
        skew: Frames in the file that precede the first one of the record.
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
    frame: int = 1
    skew: int = 0


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

    @cached_property
    def frame(self) -> int:
        """Samples per frame of the ECG leads.

        Raises:
            RecordError: The ECG leads differ in it, or there are none.
        """
        frames = {lead: self.channels[row].frame for lead, row in zip(self.rows.leads, self.rows.index, strict=True)}
        if len(set(frames.values())) > 1:
            told = ", ".join(f"{lead} {frame}" for lead, frame in frames.items())
            raise RecordError(f"the leads have different rates ({told} samples per frame)", "one rate for all leads")
        return next(iter(frames.values()))


@dataclass(frozen=True, slots=True)
class WfdbHeader:
    """The header of a record of one segment.

    Args:
        name: Record name from the record line.
        fs: Frames per second; the sampling rate, if a frame has one sample of each row.
        samples: Number of frames; None if the header does not say.
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


def split_header(raw: bytes) -> tuple[list[str], tuple[str, ...]]:
    """Return the lines of a header that are neither empty nor comments, and the comments without their marks.

    Raises:
        RecordError: There is no such line, or one is too long.
    """
    lines, comments = [], []
    for line in decode_text(raw).split("\n"):
        line = line.strip()
        if line.startswith("#"):
            comments.append(line.strip(" \t#"))
        elif line:
            lines.append(line)
    if not lines:
        raise RecordError("the header is an empty file" if not raw.strip() else "the header has only comments")
    longest = max(map(len, lines))
    if longest > LONGEST_LINE:
        raise RecordError(f"the header has a line of {longest} characters", f"at most {LONGEST_LINE}")
    return lines, tuple(comments)


def is_segmented(raw: bytes) -> bool:
    """Return whether a header is that of a record of several segments: its record line begins like ``a/2``."""
    for line in raw.split(b"\n"):
        line = line.strip()
        if line and not line.startswith(b"#"):
            return b"/" in line.split(None, 1)[0]
    return False


@dataclass(frozen=True, slots=True)
class SegmentedHeader:
    """The header of a record of several segments.

    Args:
        fs: Frames per second.
        samples: Number of frames; None if the header does not say.
        segments: Name and number of frames of each segment; ``~`` is a gap.
        comments: Comments without their marks.
    """

    fs: float
    samples: int | None
    segments: tuple[tuple[str, int], ...]
    comments: tuple[str, ...]


def parse_segments(raw: bytes) -> SegmentedHeader:
    """Parse the header of a record of several segments.

    Raises:
        RecordError: The header breaks the rules.
    """
    lines, comments = split_header(raw)
    number = lines[0].split(None, 1)[0].partition("/")[2]
    _, fs, samples = _record_line(lines[0])
    if not number.isdecimal() or int(number) != len(lines) - 1 or not int(number):
        raise RecordError(f"the header has {len(lines) - 1} segment lines for {number[:20]} segments")
    segments = []
    for line in lines[1:]:
        word, _, length = line.partition(" ")
        length = length.strip()
        if not length.isdecimal():
            raise RecordError(f"segment line {line[:80]!r}", "a name and a number of samples")
        segments.append((word, int(length)))
    return SegmentedHeader(fs, samples or None, tuple(segments), comments)


def parse_header(raw: bytes, naming: Naming = AS_WRITTEN) -> WfdbHeader:
    """Parse the header of a record of one segment.

    Args:
        raw: Content of the file.
        naming: What the user says of names and units.

    Raises:
        RecordError: The header breaks the rules.
    """
    lines, comments = split_header(raw)
    signals, fs, samples = _record_line(lines[0])
    if not signals:
        raise RecordError("the record has no signals")
    found = len(lines) - 1
    if found < signals or any(_LINE.fullmatch(line) for line in lines[signals + 1 :]):
        raise RecordError(f"{found} signal lines for {signals} signals")
    files: dict[str, int] = {}
    tokens, initials, checksums = [], [], []
    for line in lines[1 : signals + 1]:
        file, *token, initial, checksum, description = _signal_line(line)
        tokens.append((files.setdefault(file, len(files)), *token, description))
        initials.append(initial)
        checksums.append(checksum)
    return WfdbHeader(
        lines[0].split(None, 1)[0],
        fs,
        samples or None,
        tuple(files),
        _scheme(tuple(tokens), naming),
        tuple(initials),
        tuple(checksums),
        comments,
    )


def _record_line(line: str) -> tuple[int, float, int | None]:
    """Return the number of signals, the frames per second, and the number of frames, if given."""
    _, *rest = line.split()
    if not rest or not rest[0].isdecimal():
        raise RecordError(f"record line {line[:80]!r}", "a name and a number of signals")
    fs, samples = DEFAULT_FS, None
    if len(rest) > 1:
        match = _FS.fullmatch(rest[1])
        if not match or not 0 < float(match[1]) < float("inf"):
            raise RecordError(f"rate {rest[1][:20]!r}", "a number of Hz above 0")
        fs = float(match[1])
    if len(rest) > 2:
        if not rest[2].isdecimal():
            raise RecordError(f"number of samples {rest[2][:20]!r}", "a whole number")
        samples = int(rest[2])
    return int(rest[0]), fs, samples


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
        raise RecordError(f"signal line {line[:80]!r}", "a file name, a format and a gain")
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
    if not parsed or not scale or not isfinite(float(scale[1])):
        raise RecordError(f"format {form[:20]!r} and gain {gain[:40]!r}", "such as 16 and 200(0)/mV")
    frame = int(parsed[2] or 1)
    if not frame:
        raise RecordError(f"format {form[:20]!r}", "at least one sample per frame")
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
        frame=frame,
        skew=int(parsed[3] or 0),
    )
