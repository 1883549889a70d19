"""Reading one WFDB record: header, signals, comments, reference beats.

wfdb-python does the parsing; what is added is that no header leads out of its folder, that sizes and checksums are
verified, that leads go by name, and that every failure is one `RecordError` with its cause.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgkit.datasets.header import Header
from ecgkit.errors import RecordError
from ecgkit.leads import find_lead
from ecgkit.recording import Recording

# Units of voltage as headers write them, and what they are in mV.
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3}
NO_UNIT = "nu"
# Annotation codes that mark a beat (PhysioNet, "Annotations", table of beat annotations).
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
# Fewest bytes a sample. A FLAC frame (508, 516, 524) packs at most 65,536 samples, whatever they are.
SAMPLE_BYTES = {
    "8": 1.0, "80": 1.0, "16": 2.0, "61": 2.0, "160": 2.0, "24": 3.0, "32": 4.0, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
    "508": 2.0**-16, "516": 2.0**-16, "524": 2.0**-16,
}  # fmt: skip
# Gaps of a multi-segment record have no file that vouches for their length: this many samples of gap a stored sample.
MOST_GAPS = 100


@dataclass(frozen=True)
class Channel:
    """A row of a record that is an ECG lead.

    Args:
        index: The row.
        lead: Canonical name.
        sign: -1 for a lead that the header names as inverted.
        unit: As the header writes it, in lower case.
    """

    index: int
    lead: str
    sign: int
    unit: str


def read_header(root: Path, path: str) -> Header:
    """Read the header of a record, and compare its length with the size of the signal files.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.

    Raises:
        RecordError: The header is missing, malformed, names a file outside `root`, or holds no ECG lead; or a signal
            file is missing or cut short.
    """
    with _one_error(f"{path}.hea", "a WFDB header"):
        raw = _load_header(root, path)
        header = _describe(raw, path)
        _check_sizes(root / path, raw)
        return header


def read_record(root: Path, path: str) -> Recording:
    """Read the header and the signal of a record; raises as these two."""
    return read_signal(root, path, read_header(root, path))


def read_signal(root: Path, path: str, header: Header) -> Recording:
    """Read the ECG leads of a record in mV, sizes and checksums verified.

    Raises:
        RecordError: The signal file is damaged, or holds no sample.
    """
    with _one_error(path, "a WFDB signal"):
        signal = _load_signal(root / path, _load_header(root, path), header)
    if not np.isfinite(signal).any():
        raise RecordError(f"every sample of {path} is missing", "a signal")
    return Recording(
        signal,
        header.fs,
        header.leads,
        header.unit,
        header.source_leads,
        other=header.other,
        comments=header.comments,
        rpeaks=_reference_beats(root, path),
    )


def header_lines(file: Path) -> list[str]:
    """Return the lines of a header that are neither empty nor comments, broken exactly where wfdb breaks them.

    wfdb drops every byte that is not ASCII first; latin-1 would see a line break (0x85) within a UTF-8 letter.

    Raises:
        OSError: The file cannot be read.
    """
    lines = (line.strip() for line in file.read_text("ascii", errors="ignore").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def check_inside(root: Path, path: str) -> None:
    """Refuse a path that leads out of the dataset's folder, by ``..``, by being absolute or through a link.

    Args:
        root: The dataset's folder.
        path: As the dataset writes it, relative to `root`.

    Raises:
        RecordError: It does.
    """
    relative = PurePosixPath(path)
    foreign = "\\" in path or re.match(r"[A-Za-z]+:", path)  # a Windows path or a URL
    if foreign or relative.is_absolute() or ".." in relative.parts:
        raise RecordError(f"{path[:80]!r} leads out of the dataset", "a path inside the dataset's folder")
    if not (root / relative).resolve().is_relative_to(root.resolve()):
        raise RecordError(f"{path[:80]!r} is a link out of the dataset", "a file inside the dataset's folder")


@contextmanager
def _one_error(name: str, expected: str) -> Iterator[None]:
    """Turn whatever wfdb, numpy or the file system raises over one file into a `RecordError` with its cause."""
    try:
        yield
    except RecordError:
        raise
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise RecordError(f"{name} is not readable ({cause})", expected) from None


def _load_header(root: Path, path: str) -> Any:
    """Parse a header, and those of its segments, after every file name in them was found to stay inside `root`."""
    _check_names(root, path)
    header = wfdb.rdheader(str(root / path))
    if not isinstance(header, wfdb.MultiRecord):
        _mark_uncalibrated(root / path, header)
        return header
    segments = [(PurePosixPath(path).parent / name).as_posix() for name in header.seg_name if name != "~"]
    missing = [segment for segment in segments if not (root / f"{segment}.hea").is_file()]
    if missing:
        lacks = f"{path} lacks {len(missing)} of its {len(segments)} segments (first {missing[0]}.hea)"
        raise RecordError(lacks, "all of them")
    for segment in segments:
        _check_names(root, segment)
    header = wfdb.rdheader(str(root / path), rd_segments=True)
    for name, segment in zip(header.seg_name, header.segments, strict=True):
        if isinstance(segment, wfdb.MultiRecord):
            raise RecordError(f"segment {name} of {path} has segments itself", "single-segment headers")
        if segment is not None:
            _mark_uncalibrated((root / path).with_name(name), segment)
    return header


def _check_names(root: Path, path: str) -> None:
    """Refuse a header that names a signal file or a segment outside the dataset's folder."""
    check_inside(root, f"{path}.hea")
    file = root / f"{path}.hea"
    if not file.is_file():
        raise RecordError(f"{path}.hea does not exist as a file", "a WFDB header")
    for name in dict.fromkeys(line.split()[0] for line in header_lines(file)[1:]):
        check_inside(root, name if name.startswith("/") else (PurePosixPath(path).parent / name).as_posix())


def _mark_uncalibrated(record: Path, header: Any) -> None:
    """Set the unit of every signal whose gain is written as 0 to NU.

    header(5): a gain of zero means that the amplitude is uncalibrated, and 200 units stand for one. wfdb puts the 200
    and keeps no trace of the 0. A layout header (file ``~``) has no amplitudes: its zeros say nothing.
    """
    for i, line in enumerate(header_lines(record.with_name(f"{record.name}.hea"))[1:]):
        file, _, gain = [*line.split(), "", ""][:3]
        if file != "~" and re.match(r"-?(0+\.?0*|\.0+)(e[+-]?\d+)?($|[(/])", gain):
            header.units[i] = NO_UNIT.upper()


def _describe(header: Any, path: str) -> Header:
    names, units = _names_and_units(header)
    channels = _channels(names, units)
    if not channels:
        raise RecordError(f"{path} has signals {', '.join(names) or 'none'}", "at least one ECG lead, by its name")
    if not header.sig_len:
        raise RecordError(f"{path}.hea gives no number of samples", "a length above 0")
    if not 0 < header.fs < float("inf"):
        raise RecordError(f"{path}.hea gives {header.fs:g} Hz", "a sampling rate above 0")
    rows = tuple(channel.index for channel in channels)
    return Header(
        fs=float(header.fs),
        samples=int(header.sig_len),
        leads=tuple(channel.lead for channel in channels),
        unit="NU" if channels[0].unit == NO_UNIT else "mV",
        source_leads=tuple(names[i].strip() for i in rows),
        other=tuple(name.strip() for i, name in enumerate(names) if i not in rows),
        comments=tuple(header.comments or ()),
        layout=(rows, tuple(channel.sign for channel in channels)),
    )


def _channels(names: Sequence[str], units: Sequence[str]) -> list[Channel]:
    """Return the first row of each ECG lead: rows in volts, or, where there is none, rows without a unit."""
    found = [
        Channel(i, *lead, unit.strip().lower())
        for i, (name, unit) in enumerate(zip(names, units, strict=True))
        if (lead := find_lead(name))
    ]
    calibrated = [channel for channel in found if channel.unit in MILLIVOLTS]
    first: dict[str, Channel] = {}
    for channel in calibrated or [channel for channel in found if channel.unit == NO_UNIT]:
        first.setdefault(channel.lead, channel)
    return list(first.values())


def _names_and_units(header: Any) -> tuple[list[str], list[str]]:
    """Return the name and the unit of every row; a multi-segment record has those of its first segment."""
    if isinstance(header, wfdb.MultiRecord):
        header = header.segments[0]  # the layout header, where the layout varies
    names = [name or "" for name in header.sig_name or ()]
    return names, [unit or "mV" for unit in header.units or ["mV"] * len(names)]


def _check_sizes(record: Path, header: Any) -> None:
    """Compare the size of each signal file with what its header promises, so that no header is believed blindly."""
    if isinstance(header, wfdb.MultiRecord):
        _check_segments(record, header)
        return
    for name in dict.fromkeys(header.file_name):
        channels = [i for i, other in enumerate(header.file_name) if other == name]
        file = record.parent / name
        if not file.is_file():
            raise RecordError(f"{name} does not exist", f"the signal file of {record.name}.hea")
        per_sample = SAMPLE_BYTES.get(header.fmt[channels[0]])
        if per_sample is None:
            raise RecordError(f"{name} has format {header.fmt[channels[0]]}", f"one of {', '.join(SAMPLE_BYTES)}")
        frame = sum(header.samps_per_frame[i] or 1 for i in channels)
        wanted = int(header.sig_len * frame * per_sample) + (header.byte_offset[channels[0]] or 0)
        if file.stat().st_size < wanted:
            raise RecordError(f"{name} is cut short: {file.stat().st_size} bytes", f"at least {wanted} bytes")


def _check_segments(record: Path, header: Any) -> None:
    """Compare the lengths of a multi-segment record with those of its segments and of their files."""
    gaps = 0
    for name, segment, samples in zip(header.seg_name, header.segments, header.seg_len, strict=True):
        if segment is None:
            gaps += samples
        elif samples:  # a layout header has none
            if segment.sig_len != samples:
                raise RecordError(
                    f"segment {name} has {segment.sig_len} samples", f"{samples} as {record.name}.hea says"
                )
            _check_sizes(record.with_name(name), segment)
    if sum(header.seg_len) != header.sig_len:
        raise RecordError(f"{record.name}.hea gives {header.sig_len} samples", f"{sum(header.seg_len)} as its segments")
    if gaps > MOST_GAPS * (header.sig_len - gaps):
        raise RecordError(f"{record.name} misses {gaps} of {header.sig_len} samples", f"gaps up to {MOST_GAPS} to 1")


def _load_signal(record: Path, raw: Any, header: Header) -> NDArray[np.float64]:
    """Return ``[L, T]`` in mV (or NU), NaN where a sample is missing."""
    channels, signs = list(header.layout[0]), header.layout[1]
    if isinstance(raw, wfdb.MultiRecord):
        loaded = wfdb.rdrecord(str(record), channels=channels)
        physical = loaded.p_signal
    else:
        loaded = wfdb.rdrecord(str(record), channels=channels, physical=False)
        _check_sums(record, raw, loaded, channels)
        physical = loaded.dac(return_res=64)
    if loaded.units is None:
        raise RecordError(f"{record.name} has segments in several units", "one unit a lead")
    factors = dict.fromkeys(loaded.sig_name, 1.0)
    if header.unit == "mV":
        units = zip(loaded.sig_name, loaded.units, strict=True)
        factors = {name: MILLIVOLTS.get((unit or "mV").strip().lower(), 1.0) for name, unit in units}
    names, _ = _names_and_units(raw)
    columns = [loaded.sig_name.index(names[i]) for i in channels]
    scale = [sign * factors[names[i]] for i, sign in zip(channels, signs, strict=True)]
    return np.ascontiguousarray(physical[:, columns].T * np.array(scale)[:, None])


def _check_sums(record: Path, raw: Any, loaded: Any, channels: list[int]) -> None:
    """Compare the 16-bit checksums; they are defined on unsmoothed samples in their own place only."""
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


def _reference_beats(root: Path, path: str) -> NDArray[np.int64] | None:
    """Return the beats of an ``.atr`` file beside the record, if there is one that can be read."""
    with _one_error(f"{path}.atr", "an annotation file"):
        check_inside(root, f"{path}.atr")
    if not (root / f"{path}.atr").is_file():
        return None
    try:
        annotation = wfdb.rdann(str(root / path), "atr")
    except Exception:  # an unreadable annotation must not cost the signal
        return None
    beats = [s for s, symbol in zip(annotation.sample, annotation.symbol, strict=True) if symbol in BEATS]
    return np.asarray(beats, np.int64)


@dataclass(frozen=True)
class Comments:
    """What header comments of the CinC kind say."""

    labels: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None


def parse_comments(lines: tuple[str, ...]) -> Comments:
    """Read ``Dx``, ``Age`` and ``Sex`` from header comments such as ``# Dx: 426783006,164934002``.

    Blanks, angle brackets and case don't count; an age that is not a number is left out.
    """
    fields: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.strip().lstrip("#").partition(":")
        if colon:
            fields.setdefault(key.strip(" <>").lower(), value.strip())
    labels = tuple(code.strip() for code in fields.get("dx", "").split(",") if code.strip())
    age = fields.get("age", "")
    sex = fields.get("sex", "")[:1].upper()
    is_number = re.fullmatch(r"\d+(\.\d+)?", age) is not None
    return Comments(labels, float(age) if is_number else None, sex if sex in ("M", "F") else None)
