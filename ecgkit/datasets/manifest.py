"""Recordings as arrays, listed in a table ``manifest.csv`` with the path of a ``.npy`` or ``.mat`` file per row.

Required columns: `path`, `fs` in Hz, `leads` (names in the order of the array, or a set such as ``12``) and `unit`
(mV, uV, V, or NU for none). Optional columns: `record_id` (default: the path), `patient_id`, `age`, `sex`, `report`,
`fold`, `labels` (joined by ``;``), and `orientation` (``LT`` for leads first, ``TL`` for time first; if empty, the
number of leads decides). All other columns are kept as they are.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from ecgkit.datasets.axes import count, find_axes
from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.channels import NO_UNIT, amplitudes, find_rows, microvolts_of
from ecgkit.datasets.containers import open_container, suffix_of
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.stacked import read_from
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.leads import LEAD_SETS
from ecgkit.recording import Recording

TABLE = "manifest.csv"
REQUIRED = ("path", "fs", "leads", "unit")
OWN = {*REQUIRED, "record_id", "patient_id", "age", "sex", "report", "labels", "fold", "orientation"}
ORIENTATIONS = ("LT", "TL")


class Manifest(Dataset):
    """Arrays listed in ``manifest.csv``."""

    name = "manifest"
    code_system = "manifest"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds ``manifest.csv``."""
        return (root / TABLE).is_file()

    def sources(self) -> Sequence[Source]:
        """List the rows of ``manifest.csv``."""
        return sources_of(stream_rows(self.root / TABLE, REQUIRED), _source, record_id="path", path="path")

    def header(self, source: Source) -> Header:
        """Read the shape of an array."""
        with one_error(source.path, "an array of numbers"):
            check_inside(self.root, source.path)
            fs, names, unit, orientation = _facts(source)
            name, shape = _shape(self.root, source.path)
            letters = _axes(shape, len(names), orientation, source.path)
            rows = find_rows(names, [unit] * len(names), self.given.naming)
            samples = count(letters, shape, "T")
            if not samples:
                raise RecordError(f"{source.path} contains no sample")
        return Header(fs, samples, rows.leads, rows.unit, rows.source_leads, rows.other, layout=(rows, name, letters))

    def read(self, source: Source, header: Header) -> Recording:
        """Read one array."""
        rows, name, letters = header.layout
        with one_error(source.path, "an array of numbers"):
            array = read_from(self.root, source.path, name, letters, 0)
            return recording_of(amplitudes(rows.pick(array), rows), header, source.path)


def _source(row: Row) -> Source:
    fold, sex = number(row, "fold"), (row.get("sex") or "").strip()[:1].upper()
    if fold is not None and not fold.is_integer():
        raise RecordError(f"column fold holds {fold}", "a whole number")
    labels = row.get("labels")
    return Source(
        record_id=text(row.get("record_id")) or text(row["path"]) or "",
        path=text(row["path"]) or "",
        patient_id=text(row.get("patient_id")),
        labels=tuple(label.strip() for label in (labels or "").split(";") if label.strip()),
        report=row.get("report"),
        age=number(row, "age"),
        sex=sex if sex in ("M", "F") else None,
        fold=None if fold is None else int(fold),
        extra={name: text(value) for name, value in row.items() if name not in OWN}
        | {f"manifest_{name}": row.get(name) for name in ("fs", "leads", "unit", "orientation")},
    )


def _facts(source: Source) -> tuple[float, list[str], str, str]:
    """Return sampling rate, lead names, unit and orientation of an array, as its row states them."""
    cells = {name: (source.extra[f"manifest_{name}"] or "").strip() for name in ("fs", "leads", "unit", "orientation")}
    fs = number(cells, "fs")
    if fs is None or fs <= 0:
        raise RecordError(f"column fs holds {cells['fs'][:20]!r}", "a rate in Hz above 0")
    names = list(LEAD_SETS.get(cells["leads"].lower(), ())) or re.split(r"[,;\s]+", cells["leads"])
    if microvolts_of(cells["unit"]) is None and cells["unit"].lower() != NO_UNIT:
        raise RecordError(f"column unit holds {cells['unit'][:20]!r}", "mV, uV, V, or NU for none")
    if cells["orientation"].upper() not in {"", *ORIENTATIONS}:
        raise RecordError(f"column orientation holds {cells['orientation'][:20]!r}", "LT, TL, or nothing")
    return fs, names, cells["unit"], cells["orientation"].upper()


def _axes(shape: tuple[int, ...], leads: int, orientation: str, path: str) -> str:
    """Return the axes of an array, as letters; a single lead may have one axis only."""
    if orientation and len(shape) == 2:
        if shape[orientation.index("L")] != leads:
            raise RecordError(f"{path} has shape {list(shape)} and orientation {orientation}", f"{leads} leads")
        return orientation
    long = [size for size in shape if size != 1]
    if len(long) != 1 + (leads > 1) or (leads > 1 and leads not in long):
        raise RecordError(f"{path} has shape {list(shape)}", f"{leads} leads by time, or time by {leads} leads")
    if leads > 1 and long[0] == long[1]:
        raise RecordError(f"{path} has the square shape {list(shape)}", remedy="Set column orientation to LT or TL.")
    return find_axes(path, shape, leads=leads, records=0)


def _shape(root: Path, path: str) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of the only array of numbers in a file."""
    if suffix_of(path) not in (".npy", ".mat"):
        raise RecordError(f"{path} is neither a .npy nor a .mat file")
    arrays = open_container(root, path).arrays
    if len(arrays) != 1:
        raise RecordError(f"{path} holds {', '.join(arrays) or 'no matrix'}", "one matrix of numbers")
    name, array = next(iter(arrays.items()))
    return name, tuple(array.shape)
