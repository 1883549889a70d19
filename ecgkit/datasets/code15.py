"""CODE-15 %: 345,779 exams in 18 HDF5 files.

Ribeiro et al., CODE-15%: a large scale annotated dataset of 12-lead ECGs, Zenodo (2021), doi 10.5281/zenodo.4916206.
``exams.csv`` lists the exams and the file of each exam. A file holds `exam_id` ``[n]`` and `tracings`` ``[n, 4096,
12]`` at 400 Hz. A shorter tracing is centred and padded with zeros. The last row of a file is a dummy (exam_id 0).
The publisher's note on the unit contradicts itself ("at the scale 1e-4 V", yet "multiplied by 1000" from V), so
the unit is ``NU`` (none).
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.hdf5 import array_in, need_hdf5, open_hdf5
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLE = "exams.csv"
FS = 400.0
LABELS = ("1dAVb", "RBBB", "LBBB", "SB", "ST", "AF")
REQUIRED = ("exam_id", "trace_file", *LABELS)
OWN = {*REQUIRED, "patient_id", "age", "is_male"}
SEXES = {"true": "M", "1": "M", "false": "F", "0": "F"}


class Code15(Dataset):
    """CODE-15 % as Zenodo publishes it, with unpacked parts. Exams of missing parts are listed in the ledger."""

    name = "code-15"
    archives = ("code-15",)
    code_system = "code"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds ``exams.csv`` and at least one part."""
        return (root / TABLE).is_file() and next(iter(root.glob("exams_part*.hdf5")), None) is not None

    def sources(self) -> Sequence[Source]:
        """List the exams of ``exams.csv``.

        Raises:
            DatasetError: h5py is not installed, or the table is missing or lacks a column.
        """
        need_hdf5("CODE-15 %")
        return sources_of(stream_rows(self.root / TABLE, REQUIRED), _source, record_id="exam_id", path="trace_file")

    def header(self, source: Source) -> Header:
        """Find an exam in its part, and the first and last sample of its tracing."""
        with one_error(source.path, "a part of CODE-15 %"):
            check_inside(self.root, source.path)
            part = _open(self.root, source.path)
            row = part.row(int(source.record_id))
            if row is None:
                raise RecordError(f"{source.path} has no exam {source.record_id}, which exams.csv lists there")
            start, stop = strip_padding(part.tracings[row])
        return Header(FS, stop - start, STANDARD_LEADS, "NU", STANDARD_LEADS, layout=(row, start, stop))

    def read(self, source: Source, header: Header) -> Recording:
        """Read one exam without its padding."""
        row, start, stop = header.layout
        with one_error(source.path, "a part of CODE-15 %"):
            tracing = _open(self.root, source.path).tracings[row, start:stop]
        return recording_of(np.ascontiguousarray(tracing.T, np.float64), header, source.record_id)


def strip_padding(tracing: NDArray[np.floating]) -> tuple[int, int]:
    """Return the first sample of a tracing ``[T, L]`` within its padding, and the first sample after it.

    Padding is symmetric, or one sample longer on one side. Other zeros at an end belong to the tracing.

    Raises:
        RecordError: Every sample is zero.
    """
    there = np.flatnonzero(tracing.any(1))
    if not len(there):
        raise RecordError("every sample is zero")
    before, after = int(there[0]), len(tracing) - 1 - int(there[-1])
    if abs(before - after) != 1:
        before = after = min(before, after)
    return before, len(tracing) - after


class _Part:
    """An open part, with the row of each exam."""

    def __init__(self, root: Path, path: str) -> None:
        self._file = open_hdf5(root, path)
        self.tracings: Any = array_in(self._file, "tracings")
        if self.tracings.ndim != 3 or self.tracings.shape[2] != len(STANDARD_LEADS):
            raise RecordError(f"tracings are {list(self.tracings.shape)}", "[n, 4096, 12]")
        exams = np.asarray(array_in(self._file, "exam_id")[: len(self.tracings)], np.int64)
        self._order = np.argsort(exams, kind="stable").astype(np.int32)
        self._exams = exams[self._order]

    def row(self, exam: int) -> int | None:
        """Return the row of an exam, the last of several; None if the part lacks it. Exam 0 is the dummy row."""
        at = int(np.searchsorted(self._exams, exam, side="right")) - 1
        return int(self._order[at]) if exam and at >= 0 and self._exams[at] == exam else None


@lru_cache(maxsize=32)
def _open(root: Path, path: str) -> _Part:
    """Open a part and index its exams, once per process."""
    return _Part(root, path)


def _source(row: Row) -> Source:
    exam = text(row["exam_id"]) or ""
    if not exam.isdecimal():
        raise RecordError(f"column exam_id holds {exam[:40]!r}", "a whole number")
    return Source(
        record_id=exam,
        path=text(row["trace_file"]) or "",
        patient_id=text(row.get("patient_id")),
        labels=tuple(label for label in LABELS if _is_true(row, label)),
        age=number(row, "age"),
        sex=SEXES.get((text(row.get("is_male")) or "").lower()),
        extra={name: text(value) for name, value in row.items() if name not in OWN},
    )


def _is_true(row: Row, column: str) -> bool:
    cell = (text(row[column]) or "").strip().lower()
    if cell not in ("true", "false", "1", "0"):
        raise RecordError(f"column {column} holds {cell[:40]!r}", "True or False")
    return cell in ("true", "1")
