"""Read WFDB records of several segments: each segment is a record of its own, and leads are joined by name.

header(5), "Multi-segment records". If the first segment has no samples it is a layout header, which names the signals;
later segments may lack some of them. Otherwise every segment must hold the same leads, in any order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.channels import Naming, Rows
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import beside, check_inside, read_bytes
from ecgkit.datasets.wfdb_amplitudes import to_amplitudes
from ecgkit.datasets.wfdb_header import WfdbHeader, is_segmented, parse_header, parse_segments, split_header
from ecgkit.datasets.wfdb_signal import SegmentLayout, layout_of, measure, read_counts, stamp
from ecgkit.errors import NoLeadError, RecordError
from ecgkit.recording import Recording

GAP = "~"
# No file vouches for the length of gaps. Allow this many samples of gap per stored sample.
MOST_GAPS = 100


@dataclass(frozen=True)
class JoinedLayout:
    """Where the samples of a record of several segments lie.

    Args:
        segments: Name and number of frames of each segment with samples; an empty name for a gap.
        layouts: Location of the samples of each named segment; None if it has no ECG lead.
        frame: Samples per frame.
    """

    segments: tuple[tuple[str, int], ...]
    layouts: dict[str, SegmentLayout | None]
    frame: int


def read_segmented_header(root: Path, path: str, raw: bytes, naming: Naming) -> Header:
    """Read the headers of all segments; see `ecgkit.datasets.wfdb_record.read_header`."""
    joined = parse_segments(raw)
    names = dict.fromkeys(name for name, _ in joined.segments if name != GAP)
    headers = dict(_segment_headers(root, path, names, naming))
    first = joined.segments[0]
    is_layout = first[0] != GAP and not first[1]
    real = [(name, frames) for name, frames in joined.segments[is_layout:] if frames]
    own = {name: headers[name] for name, _ in real if name != GAP}
    _check_lengths(path, joined.samples, real)
    _check_rates(path, joined.fs, own)
    states: list[object] = []
    for name, frames in dict.fromkeys(real):
        if name != GAP:
            found, files = measure(root, beside(path, name), own[name])
            states.append((own[name], files))
            if found != frames:
                raise RecordError(f"segment {name} has {found} samples", f"{frames} as {path}.hea says")
    rows = {name: _rows_or_none(name, header) for name, header in own.items()}
    model = headers[first[0]].scheme.rows if is_layout else _first(rows, own)
    frame = _frame(own, rows)
    if not is_layout:
        _check_leads(rows)
    layouts = {name: None if rows[name] is None else layout_of(header) for name, header in own.items()}
    segments = tuple(("" if name == GAP else name, frames) for name, frames in real)
    return Header(
        joined.fs * frame,
        sum(frames for _, frames in real) * frame,
        model.leads,
        model.unit,
        model.source_leads,
        model.other,
        joined.comments,
        JoinedLayout(segments, layouts, frame),
        stamp(raw, states),
    )


def read_segments(root: Path, path: str, header: Header) -> NDArray[np.float64]:
    """Return ``[L, T]`` in mV (or NU), NaN for a missing sample."""
    layout: JoinedLayout = header.layout
    signal = np.full((len(header.leads), header.samples), np.nan)
    places: dict[tuple[str, int], list[int]] = {}  # a header may repeat a segment very often, in any order
    start = 0
    for name, frames in layout.segments:
        places.setdefault((name, frames), []).append(start)
        start += frames * layout.frame
    for (name, frames), starts in places.items():
        own = layout.layouts.get(name)
        if own is None:
            continue
        part = _segment(root, beside(path, name), frames, own)
        for lead, row in zip(own.scheme.rows.leads, part, strict=True):
            if lead in header.leads:
                target = signal[header.leads.index(lead)]
                for at in starts:
                    target[at : at + frames * layout.frame] = row
    return signal


def segment_names(raw: bytes) -> list[str]:
    """Return the segments that a header names; none for a record of one segment.

    Raises:
        RecordError: The header has a line that is too long.
    """
    return [line.split(None, 1)[0] for line in split_header(raw)[0][1:]] if is_segmented(raw) else []


def _segment(root: Path, path: str, frames: int, layout: SegmentLayout) -> NDArray[np.float64]:
    amplitudes, scaling = to_amplitudes(read_counts(root, path, frames, layout), layout.scheme)
    return Recording(amplitudes, 1.0, layout.scheme.rows.leads, scaling=scaling).signal.astype(np.float64)


def _segment_headers(root: Path, path: str, names: dict[str, None], naming: Naming) -> Iterator[tuple[str, WfdbHeader]]:
    missing = []
    for name in names:
        segment = beside(path, name)
        check_inside(root, f"{segment}.hea")
        try:
            raw = read_bytes(root, f"{segment}.hea")
        except OSError:
            missing.append(segment)
            continue
        if is_segmented(raw):
            raise RecordError(f"segment {name} of {path} has segments itself, which is not supported")
        header = parse_header(raw, naming)
        for file in header.files:
            if file != GAP:
                check_inside(root, beside(segment, file))
        yield name, header
    if missing:
        raise RecordError(f"{path} lacks {len(missing)} of its {len(names)} segments (first {missing[0]}.hea)")


def _check_lengths(path: str, samples: int | None, real: list[tuple[str, int]]) -> None:
    total, gaps = sum(frames for _, frames in real), sum(frames for name, frames in real if name == GAP)
    if samples is not None and total != samples:
        raise RecordError(f"{path}.hea gives {samples} samples, but its segments have {total}")
    if gaps > MOST_GAPS * (total - gaps):
        raise RecordError(f"{gaps} of {total} samples of {path} are in gaps", f"gaps up to {MOST_GAPS} to 1")
    check_memory(total, PurePosixPath(path).name)


def _check_rates(path: str, fs: float, own: dict[str, WfdbHeader]) -> None:
    for name, header in own.items():
        if header.fs != fs:
            raise RecordError(f"segment {name} has {header.fs:g} Hz", f"{fs:g} Hz as {path}.hea says")


def _rows_or_none(name: str, header: WfdbHeader) -> Rows | None:
    try:
        return header.scheme.rows
    except NoLeadError:  # a segment of a variable layout may hold no ECG lead
        return None
    except RecordError as error:
        raise RecordError(f"segment {name}: {error}") from None


def _first(rows: dict[str, Rows | None], own: dict[str, WfdbHeader]) -> Rows:
    found = next((some for some in rows.values() if some is not None), None)
    if found is not None:
        return found
    if not own:
        raise RecordError("the record has no segment with samples")
    return next(iter(own.values())).scheme.rows  # raises the error that names the signals


def _frame(own: dict[str, WfdbHeader], rows: dict[str, Rows | None]) -> int:
    frames = {name: header.scheme.frame for name, header in own.items() if rows[name] is not None}
    units = {rows[name].unit for name in frames}  # type: ignore[union-attr]
    if len(set(frames.values())) > 1:
        raise RecordError("the segments have different numbers of samples per frame", "one rate for all segments")
    if len(units) > 1:
        raise RecordError("the record has segments in several units", "one unit per lead")
    return next(iter(frames.values()), 1)


def _check_leads(rows: dict[str, Rows | None]) -> None:
    """Refuse segments of a fixed layout that differ in their leads."""
    sets = {name: set(some.leads) if some else set() for name, some in rows.items()}
    first, whole = next(iter(sets.items()))
    for name, leads in sets.items():
        if leads != whole:
            differ = ", ".join(sorted(leads ^ whole))
            raise RecordError(f"segments {first} and {name} differ in leads {differ}", "the same leads in all segments")
