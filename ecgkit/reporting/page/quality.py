"""The quality of a store's records as one self-contained HTML page: counts, and pictures of the worst records.

A picture draws, in each column of pixels, the range of a lead's samples, so that no spike is lost. The usual scale of
10 mm/mV would not fit, so each lead fills its own row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.store.reader import Store
from ecgkit.store.summary import count_flags, lead_flags

WORST = 24
COLUMNS = 260
ROW = 22  # pixels per lead


@dataclass(frozen=True)
class Trace:
    """One lead of a picture.

    Args:
        lead: Name of the lead.
        path: Data of the SVG path.
        flags: Quality problems of the lead.
        range: Range from lowest to highest sample, as text.
    """

    lead: str
    path: str
    flags: str
    range: str


@dataclass(frozen=True)
class Picture:
    """The picture of one record.

    Args:
        record_id: Id of the record.
        flags: Quality problems of the record.
        seconds: Length of the record in s.
        traces: Leads of the record.
    """

    record_id: str
    flags: str
    seconds: float
    traces: list[Trace]


def write_quality_page(store: Store, out: Path) -> None:
    """Write the page of a store, with its worst records: those with the most flags, counted once per lead.

    Args:
        store: The store.
        out: The HTML file; it appears complete or not at all.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("quality.html.j2").render(
        name=store.name,
        records=len(store),
        counts=count_flags(store),
        pictures=list(_worst(store)),
        columns=COLUMNS,
        row=ROW,
    )
    with atomic_file(out) as staging:
        staging.write_text(html, encoding="utf-8", errors="replace", newline="\n")


def _worst(store: Store) -> Iterator[Picture]:
    flags = lead_flags(store)
    score = np.sum([on.sum(1) for on in flags.values()], axis=0)
    for row in np.argsort(-score, kind="stable")[:WORST]:
        if score[row]:
            yield _picture(store, int(row), {flag: on[row] for flag, on in flags.items()})


def _picture(store: Store, row: int, flags: dict[str, NDArray[np.bool_]]) -> Picture:
    recording = store.recording(row)
    traces = []
    for lead, signal in zip(recording.leads, recording.signal, strict=True):
        own = ", ".join(flag for flag, on in flags.items() if on[store.leads.index(lead)])
        known = signal[np.isfinite(signal)]
        span = f"{known.min():z.2f} to {known.max():z.2f} {recording.unit}" if known.size else "no sample"
        traces.append(Trace(lead, trace_path(signal, COLUMNS, ROW - 2), own, span))
    raised = ", ".join(flag for flag, on in flags.items() if on.any())
    return Picture(str(store.table["record_id"].iloc[row]), raised, recording.seconds, traces)


def trace_path(signal: NDArray[np.floating], columns: int, height: float) -> str:
    """Return an SVG path of a lead ``[T]``: one vertical stroke per column, from its lowest to its highest sample.

    A column without samples breaks the line.
    """
    known = signal[np.isfinite(signal)]
    if not known.size:
        return ""
    low, high = float(known.min()), float(known.max())
    scale = height / (high - low) if high > low else 0.0
    middle = 0.0 if high > low else height / 2
    steps, pen = [], "M"
    for column, part in enumerate(np.array_split(signal, min(columns, len(signal)))):
        part = part[np.isfinite(part)]
        if not part.size:
            pen = "M"
            continue
        ends = (part.min(), part.max()) if column % 2 else (part.max(), part.min())
        for value in ends:
            steps.append(f"{pen}{column} {middle + (high - float(value)) * scale:.1f}")
            pen = "L"
    return "".join(steps)
