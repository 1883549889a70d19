"""The Lobachevsky University Database (LUDB), with P, QRS and T marked in every lead.

Kalyakulina et al., LUDB: A New Open-Access Validation Tool for Electrocardiogram Delineation Algorithms, IEEE Access
8:186181-186190 (2020), doi 10.1109/ACCESS.2020.3029211. ``ludb.csv`` holds the diagnoses; its cells contain line
breaks, also at their ends. Each lead has its own annotation file, and its own gain, which normalises the lead.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.annotations import Annotations, parse_annotations
from ecgkit.datasets.base import Source
from ecgkit.datasets.header import Header
from ecgkit.datasets.header_folder import HeaderFolder
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, number, read_rows, text
from ecgkit.errors import RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLE = "ludb.csv"
DIAGNOSES = (
    "Rhythms",
    "Electric axis of the heart",
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)
QRS = frozenset("N")
# Marks of one beat in different leads are closer together than this; different beats are farther apart.
SAME_BEAT = 0.15  # s


class Ludb(HeaderFolder):
    """LUDB as PhysioNet publishes it. The reference R peak of a beat is the median of its marks over the leads."""

    name = "ludb"
    archives = ("ludb",)
    code_system = "ludb"
    names = re.compile(r"\d{1,3}")

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds ``ludb.csv``."""
        return (root / TABLE).is_file()

    @cached_property
    def _rows(self) -> dict[str, Row]:
        rows = read_rows(self.root / TABLE, ("ID", "Sex", "Age", *DIAGNOSES))
        return {(text(row["ID"]) or "").strip(): row for row in rows}

    def source(self, path: str) -> Source:
        """Return the record's source, with patient, age, sex and diagnoses. No patient has two records."""
        name = path.rpartition("/")[2]
        source = Source(record_id=name, path=path, patient_id=name)
        row = self._rows.get(name)
        if row is None:
            return source
        cells = {column: _lines(row[column]) for column in DIAGNOSES}
        return replace(
            source,
            labels=tuple(line for lines in cells.values() for line in lines),
            age=_age(row),
            sex=(row["Sex"] or "").strip() or None,
            extra={column: "\n".join(lines) or None for column, lines in cells.items()},
        )

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record with its reference R peaks."""
        recording = super().read(source, header)
        peaks = [marks.only(QRS) for marks in self._marks(source, header.fs).values()]
        return replace(recording, rpeaks=merge_peaks(peaks, header.fs))

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row with the marks of every lead: sample indices and symbols, such as ``(N)pt``."""
        columns: dict[str, Any] = dict.fromkeys(STANDARD_LEADS)
        columns |= self._marks(source, recording.fs)
        marks = {f"marks_{lead}": None if own is None else own.samples.tolist() for lead, own in columns.items()}
        symbols = {f"symbols_{lead}": None if own is None else "".join(own.symbols) for lead, own in columns.items()}
        return super().row(source, recording) | marks | symbols

    def _marks(self, source: Source, fs: float) -> dict[str, Annotations]:
        """Return the annotations of every lead that has a readable annotation file."""
        marks = {}
        for lead in STANDARD_LEADS:
            path = f"{source.path}.{lead.lower()}"
            try:
                check_inside(self.root, path)
                marks[lead] = parse_annotations((self.root / path).read_bytes(), fs)
            except (OSError, ValueError, RecordError):  # unreadable marks must not cost the signal
                continue
        return marks


def merge_peaks(peaks: Sequence[NDArray[np.int64]], fs: float) -> NDArray[np.int64] | None:
    """Return one peak per beat that at least half of the leads mark: the median of its marks.

    Args:
        peaks: Sample indices of the marks, one array per lead.
        fs: Sampling rate in Hz.
    """
    marks = np.sort(np.concatenate(peaks)) if peaks else np.empty(0, np.int64)
    if not len(marks):
        return None
    beats = np.split(marks, np.flatnonzero(np.diff(marks) > SAME_BEAT * fs) + 1)
    return np.array([np.median(beat) for beat in beats if 2 * len(beat) >= len(peaks)]).round().astype(np.int64)


def _lines(cell: str | None) -> list[str]:
    return [line.strip() for line in (cell or "").split("\n") if line.strip()]


def _age(row: Row) -> float | None:
    """Return an age in years. The publisher writes ``>89`` for ages that would identify a patient; it becomes 90."""
    cell = (row["Age"] or "").strip()
    return 90.0 if cell.startswith(">") else number({"Age": cell}, "Age")
