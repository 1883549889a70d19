"""Reading one WFDB record: header, signals, comments, reference beats.

wfdb-python does the parsing; what is added is that no header leads out of its folder, that sizes and checksums are
verified, that leads go by name, and that every failure is one `RecordError` with its cause.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import wfdb
from numpy.typing import NDArray

from ecgkit.errors import RecordError
from ecgkit.leads import find_lead
from ecgkit.recording import Recording

# Units of voltage as headers write them, and what they are in mV. NU: the source gives no unit.
MILLIVOLTS = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "v": 1e3, "nu": 1.0}
# Annotation codes that mark a beat (PhysioNet, "Annotations", table of beat annotations).
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
# Bytes a sample of the formats in which every sample has its own place.
SAMPLE_BYTES = {"8": 1.0, "80": 1.0, "16": 2.0, "61": 2.0, "160": 2.0, "24": 3.0, "32": 4.0, "212": 1.5}


@dataclass(frozen=True)
class Header:
    """What a header says that decides the shape of a store.

    Args:
        fs: Frames a second in Hz.
        samples: Number of frames.
        channels: Rows of the record that are ECG leads.
        leads: Their canonical names.
        signs: -1 for a lead that the header names as inverted.
        unit: ``mV`` or ``NU``.
        source_leads: The header's own names of those rows.
        other: Names of the rows that are no ECG leads.
    """

    fs: float
    samples: int
    channels: tuple[int, ...]
    leads: tuple[str, ...]
    signs: tuple[int, ...]
    unit: str
    source_leads: tuple[str, ...]
    other: tuple[str, ...]


def read_header(root: Path, path: str) -> Header:
    """Read the header of a record.

    Args:
        root: The dataset's folder.
        path: The record's path relative to it, without suffix.

    Raises:
        RecordError: The header is missing, malformed, names a file outside `root`, or holds no ECG lead.
    """
    return _describe(_load_header(root, path), path)


def read_record(root: Path, path: str) -> Recording:
    """Read the ECG leads of a record in mV, sizes and checksums verified.

    Raises:
        RecordError: As `read_header`; or the signal file is missing, cut short or damaged, or holds no sample.
    """
    raw = _load_header(root, path)
    header = _describe(raw, path)
    _check_sizes(root / path, raw)
    signal = _load_signal(root / path, raw, header)
    if not np.isfinite(signal).any():
        raise RecordError(f"every sample of {path} is missing", "a signal")
    return Recording(
        signal,
        header.fs,
        header.leads,
        header.unit,
        header.source_leads,
        other=header.other,
        comments=tuple(raw.comments or ()),
        rpeaks=_reference_beats(root / path),
    )


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


def _load_header(root: Path, path: str) -> Any:
    """Parse a header, and those of its segments, after every file name in them was found to stay inside `root`."""
    _check_names(root, path)
    try:
        header = wfdb.rdheader(str(root / path))
        if not isinstance(header, wfdb.MultiRecord):
            return header
        segments = [(PurePosixPath(path).parent / name).as_posix() for name in header.seg_name if name != "~"]
        missing = [segment for segment in segments if not (root / f"{segment}.hea").is_file()]
        if missing:
            lacks = f"{path} lacks {len(missing)} of its {len(segments)} segments (first {missing[0]}.hea)"
            raise RecordError(lacks, "all of them")
        for segment in segments:
            _check_names(root, segment)
        return wfdb.rdheader(str(root / path), rd_segments=True)
    except RecordError:
        raise
    except Exception as error:  # wfdb raises whatever its parser meets
        raise RecordError(f"{path}.hea is not readable ({_one_line(error)})", "a WFDB header") from None


def _check_names(root: Path, path: str) -> None:
    """Refuse a header that names a signal file or a segment outside the dataset's folder."""
    check_inside(root, f"{path}.hea")
    file = root / f"{path}.hea"
    if not file.is_file():
        raise RecordError(f"{path}.hea does not exist", "a WFDB header")
    lines = [line for line in file.read_text("latin-1").splitlines() if line.strip() and not line.startswith("#")]
    for name in dict.fromkeys(line.split()[0] for line in lines[1:]):
        check_inside(root, name if name.startswith("/") else (PurePosixPath(path).parent / name).as_posix())


def _describe(header: Any, path: str) -> Header:
    names, units = _names_and_units(header)
    found = [find_lead(name) for name in names]
    factors = [unit.strip().lower() in MILLIVOLTS for unit in units]
    rows = [i for i, lead in enumerate(found) if lead and factors[i]]
    rows = [i for n, i in enumerate(rows) if found[i][0] not in [found[j][0] for j in rows[:n]]]  # type: ignore[index]
    unit = "mV"
    if rows and all(units[i].strip().lower() == "nu" for i in rows):
        unit = "NU"
    else:
        rows = [i for i in rows if units[i].strip().lower() != "nu"]
    if not rows:
        raise RecordError(f"{path} has signals {', '.join(names) or 'none'}", "at least one ECG lead, by its name")
    if not header.sig_len:
        raise RecordError(f"{path}.hea gives no number of samples", "a length")
    leads = [found[i] for i in rows]
    return Header(
        fs=float(header.fs),
        samples=int(header.sig_len),
        channels=tuple(rows),
        leads=tuple(lead[0] for lead in leads if lead),
        signs=tuple(lead[1] for lead in leads if lead),
        unit=unit,
        source_leads=tuple(names[i].strip() for i in rows),
        other=tuple(name.strip() for i, name in enumerate(names) if i not in rows),
    )


def _names_and_units(header: Any) -> tuple[list[str], list[str]]:
    """Return the name and the unit of every row; a multi-segment record has those of its first segment."""
    if isinstance(header, wfdb.MultiRecord):
        header = header.segments[0]  # the layout header, where the layout varies
    names = [name or "" for name in header.sig_name or ()]
    return names, [unit or "mV" for unit in header.units or ["mV"] * len(names)]


def _check_sizes(record: Path, header: Any) -> None:
    """Compare the size of each signal file with what a single-segment header promises."""
    if isinstance(header, wfdb.MultiRecord):
        return
    for name in dict.fromkeys(header.file_name):
        channels = [i for i, other in enumerate(header.file_name) if other == name]
        file = record.parent / name
        if not file.is_file():
            raise RecordError(f"{name} does not exist", f"the signal file of {record.name}.hea")
        per_sample = SAMPLE_BYTES.get(header.fmt[channels[0]])
        if per_sample is None:
            continue
        frame = sum(header.samps_per_frame[i] for i in channels)
        wanted = int(header.sig_len * frame * per_sample) + (header.byte_offset[channels[0]] or 0)
        if file.stat().st_size < wanted:
            raise RecordError(f"{name} is cut short: {file.stat().st_size} bytes", f"at least {wanted} bytes")


def _load_signal(record: Path, raw: Any, header: Header) -> NDArray[np.float64]:
    """Return ``[L, T]`` in mV (or NU), NaN where a sample is missing."""
    channels = list(header.channels)
    try:
        if isinstance(raw, wfdb.MultiRecord):
            loaded = wfdb.rdrecord(str(record), channels=channels)
            physical = loaded.p_signal
        else:
            loaded = wfdb.rdrecord(str(record), channels=channels, physical=False)
            _check_sums(record, raw, loaded, channels)
            physical = loaded.dac(return_res=64)
    except RecordError:
        raise
    except Exception as error:  # wfdb raises whatever its decoder meets
        raise RecordError(f"{record.name} is not readable ({_one_line(error)})", "a WFDB signal") from None
    units = dict(zip(loaded.sig_name, loaded.units, strict=True))
    columns = [loaded.sig_name.index(name) for name in _names_of(raw, channels)]
    factors = [
        sign * MILLIVOLTS.get((units[loaded.sig_name[c]] or "mV").strip().lower(), 1.0)
        for c, sign in zip(columns, header.signs, strict=True)
    ]
    return np.ascontiguousarray(physical[:, columns].T * np.array(factors)[:, None])


def _names_of(raw: Any, channels: list[int]) -> list[str]:
    names, _ = _names_and_units(raw)
    return [names[i] for i in channels]


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


def _reference_beats(record: Path) -> NDArray[np.int64] | None:
    """Return the beats of an ``.atr`` file beside the record, if there is one that can be read."""
    if not record.with_name(f"{record.name}.atr").is_file():
        return None
    try:
        annotation = wfdb.rdann(str(record), "atr")
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


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]
