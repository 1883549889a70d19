"""CODE-test: 827 tracings of as many patients, with the labels of a consensus and of each annotator.

Ribeiro et al., Automatic diagnosis of the 12-lead ECG using a deep neural network, Nature Communications 11:1760
(2020), doi 10.5281/zenodo.3765780. ``ecg_tracings.hdf5`` holds `tracings` ``[827, 4096, 12]`` at 400 Hz, padded as in
CODE-15 %; its README orders the leads I II III aVL aVF aVR V1..V6. Row i of ``attributes.csv`` and of each table in
``annotations/`` belongs to tracing i. The publisher's note on the unit contradicts itself, so the unit is ``NU``.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.code15 import FS, LABELS, strip_padding
from ecgkit.datasets.hdf5 import array_in, need_hdf5, open_hdf5
from ecgkit.datasets.header import Header
from ecgkit.datasets.tables import Row, number, read_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import DatasetError, RecordError
from ecgkit.recording import Recording

SIGNALS, PEOPLE = "ecg_tracings.hdf5", "attributes.csv"
LEADS = ("I", "II", "III", "aVL", "aVF", "aVR", "V1", "V2", "V3", "V4", "V5", "V6")
CONSENSUS = "gold_standard"
ANNOTATORS = ("cardiologist1", "cardiologist2", "cardiology_residents", "emergency_residents", "medical_students")


class CodeTest(Dataset):
    """CODE-test as Zenodo publishes it: the folder, or the one above that holds it as ``data/``."""

    name = "code-test"
    archives = ("code-test",)
    code_system = "code"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the tracings and the table of people are there."""
        return any(
            (root / folder / SIGNALS).is_file() and (root / folder / PEOPLE).is_file() for folder in (".", "data")
        )

    @property
    def _folder(self) -> str:
        return "" if (self.root / SIGNALS).is_file() else "data/"

    def sources(self) -> Sequence[Source]:
        """List the tracings with the labels of the consensus, and those of each annotator as columns.

        Raises:
            DatasetError: h5py is not installed, or a table is missing or has another number of rows than the others.
        """
        need_hdf5("CODE-test")
        people = read_rows(self.root / f"{self._folder}{PEOPLE}", ("age", "sex"))
        labels = {name: self._labels(name, len(people)) for name in (CONSENSUS, *ANNOTATORS)}
        return [
            Source(
                record_id=str(row),
                path=f"{self._folder}{SIGNALS}",
                patient_id=str(row),
                labels=labels[CONSENSUS][row] if labels[CONSENSUS] else (),
                age=number(person, "age"),
                sex=text(person["sex"]),
                extra={f"labels_{name}": list(labels[name][row]) if labels[name] else None for name in ANNOTATORS},
            )
            for row, person in enumerate(people)
        ]

    def _labels(self, annotator: str, rows: int) -> list[tuple[str, ...]]:
        """Return the labels that one annotator gave each tracing; none if there is no table of theirs."""
        file = self.root / f"{self._folder}annotations/{annotator}.csv"
        if not file.is_file():
            return []
        table = read_rows(file, LABELS)
        if len(table) != rows:
            raise DatasetError(f"{file} has {len(table)} rows, and {PEOPLE} has {rows}", "one row per tracing in each")
        return [tuple(label for label in LABELS if _is_set(row, label)) for row in table]

    def header(self, source: Source) -> Header:
        """Find the first and last sample of a tracing within its padding."""
        with one_error(source.path, "the tracings of CODE-test"):
            tracings = _tracings(self.root, source.path)
            row = int(source.record_id)
            if row >= len(tracings):
                raise RecordError(f"{source.path} has {len(tracings)} tracings, and no tracing {row}")
            start, stop = strip_padding(tracings[row])
        return Header(FS, stop - start, LEADS, "NU", LEADS, layout=(row, start, stop))

    def read(self, source: Source, header: Header) -> Recording:
        """Read one tracing without its padding."""
        row, start, stop = header.layout
        with one_error(source.path, "the tracings of CODE-test"):
            tracing = _tracings(self.root, source.path)[row, start:stop]
        return recording_of(np.ascontiguousarray(tracing.T, np.float64), header, source.record_id)


@lru_cache(maxsize=2)
def _tracings(root: Path, path: str) -> Any:
    array = array_in(open_hdf5(root, path), "tracings")
    if array.ndim != 3 or array.shape[2] != len(LEADS):
        raise RecordError(f"tracings are {list(array.shape)}", "[n, 4096, 12]")
    return array


def _is_set(row: Row, label: str) -> bool:
    return (text(row[label]) or "").strip().lower() in ("1", "true")
