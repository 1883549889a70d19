"""Recordings as arrays, listed in a table ``manifest.csv`` with the path of a ``.npy`` or ``.mat`` file per row.

Required columns: `path`, `fs` in Hz, `leads` (names in the order of the array, or a set such as ``12``) and `unit`
(mV, uV, V, or NU for none). Optional columns: `record_id` (default: the path), `patient_id`, `age`, `sex`, `report`,
`fold`, `labels` (joined by ``;``), and `orientation` (``LT`` for leads first, ``TL`` for time first; if empty, the
number of leads decides). All other columns are kept as they are.
"""

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.channels import NO_UNIT, amplitudes, find_rows, microvolts_of
from ecgkit.datasets.header import Header
from ecgkit.datasets.matlab import load_matrix
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, number, read_rows, sources_of, text
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
        return sources_of(read_rows(self.root / TABLE, REQUIRED), _source, record_id="path", path="path")

    def header(self, source: Source) -> Header:
        """Read the shape of an array."""
        with one_error(source.path, "an array of numbers"):
            check_inside(self.root, source.path)
            fs, names, unit, orientation = _facts(source)
            shape = _shape(self.root / source.path)
            is_transposed = _is_transposed(shape, len(names), orientation, source.path)
            rows = find_rows(names, [unit] * len(names))
            samples = shape[0] if is_transposed else shape[1]
            if not samples:
                raise RecordError(f"{source.path} contains no sample")
        return Header(fs, samples, rows.leads, rows.unit, rows.source_leads, rows.other, layout=(rows, is_transposed))

    def read(self, source: Source, header: Header) -> Recording:
        """Read one array."""
        rows, is_transposed = header.layout
        with one_error(source.path, "an array of numbers"):
            array = _load(self.root / source.path)
            array = array.T if is_transposed else array
            return recording_of(amplitudes(array[list(rows.index)], rows), header, source.path)


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


def _is_transposed(shape: tuple[int, ...], leads: int, orientation: str, path: str) -> bool:
    """Return whether time is the first axis of the array."""
    if len(shape) != 2 or leads not in shape:
        raise RecordError(f"{path} has shape {list(shape)}", f"{leads} leads by time, or time by {leads} leads")
    if not orientation and shape[0] == shape[1]:
        raise RecordError(f"{path} has the square shape {list(shape)}", remedy="Set column orientation to LT or TL.")
    is_transposed = orientation == "TL" or (not orientation and shape[1] == leads)
    if shape[1 if is_transposed else 0] != leads:
        raise RecordError(f"{path} has shape {list(shape)} and orientation {orientation}", f"{leads} leads")
    return is_transposed


def _shape(file: Path) -> tuple[int, ...]:
    """Return an array's shape. For a ``.npy`` file it is read from the header and checked against the file's size."""
    if file.suffix == ".mat":
        return tuple(load_matrix(file).shape)
    if file.suffix != ".npy":
        raise RecordError(f"{file.name} is neither a .npy nor a .mat file")
    with file.open("rb") as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
        wanted = stream.tell() + math.prod(shape) * dtype.itemsize
    if dtype.kind not in "iuf":
        raise RecordError(f"{file.name} holds {dtype}", "numbers")
    if file.stat().st_size < wanted:
        raise RecordError(f"{file.name} is cut short: {file.stat().st_size} bytes", f"{wanted} bytes")
    return tuple(shape)


def _load(file: Path) -> NDArray:
    if file.suffix == ".mat":
        return load_matrix(file)
    return np.load(io.BytesIO(file.read_bytes()), allow_pickle=False)
