"""EchoNext: 100,000 ECGs with findings of the echocardiogram.

Elias and Finer, EchoNext: A Dataset for Detecting Echocardiogram-Confirmed Structural Heart Disease from ECGs,
PhysioNet (2025), doi 10.13026/r9pp-3y42. ``echonext_metadata_100k.csv`` lists the records (its README writes
``EchoNext_metadata_100k.csv``). The records of each
split lie, in the order of the table, in ``EchoNext_SPLIT_waveforms.npy`` ``[n, 1, 2500, 12]`` at 250 Hz. The
publisher has z-scored them: ``NU``.
"""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ecgkit.datasets.base import Dataset, Source, hashed_fold
from ecgkit.datasets.header import Header
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, number, stream_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLES = ("echonext_metadata_100k.csv", "EchoNext_metadata_100k.csv")
REQUIRED = ("ecg_key", "patient_key", "split")
FLAG = "_flag"
FS = 250.0
FOLDS = {"val": 9, "test": 10}
TRAINING = 8


class EchoNext(Dataset):
    """EchoNext as PhysioNet publishes it. Labels are the names of the positive flags, without ``_flag``."""

    name = "echonext"
    archives = ("echonext",)
    code_system = "echonext"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the table of this archive is there."""
        return _table(root) is not None

    def sources(self) -> Sequence[Source]:
        """List the records of the table. Patients outside of validation and test are in training folds."""
        rows = stream_rows(_table(self.root) or self.root / TABLES[0], REQUIRED)
        place: Counter[str] = Counter()
        sources = []
        for row in rows:
            split = text(row["split"]) or ""
            sources.append(_source(row, split, place[split]))
            place[split] += 1
        fixed = {source.patient_id: source.fold for source in sources if source.fold}
        return [s if s.fold else replace(s, fold=fixed.get(s.patient_id) or _training_fold(s)) for s in sources]

    def header(self, source: Source) -> Header:
        """Check that the array of a split holds the record."""
        with one_error(source.path, "waveforms [n, 1, 2500, 12]"):
            check_inside(self.root, source.path)
            array = _array(self.root, source.path)
            row = int(source.extra["split_row"])
            if row >= array.records:
                raise RecordError(f"{source.path} holds {array.records} records, and the table lists more")
        return Header(FS, array.samples, STANDARD_LEADS, "NU", STANDARD_LEADS, layout=row)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        with one_error(source.path, "waveforms [n, 1, 2500, 12]"):
            signal = _array(self.root, source.path).read(header.layout)
        return recording_of(np.ascontiguousarray(signal.T, np.float64), header, source.record_id)


def _table(root: Path) -> Path | None:
    return next((root / name for name in TABLES if (root / name).is_file()), None)


class _Array(NamedTuple):
    """An open ``.npy`` file of records, read one record at a time."""

    file: IO[bytes]
    start: int
    records: int
    samples: int
    dtype: np.dtype

    def read(self, row: int) -> NDArray:
        """Return a record ``[T, L]``."""
        size = self.samples * len(STANDARD_LEADS)
        self.file.seek(self.start + row * size * self.dtype.itemsize)
        raw = self.file.read(size * self.dtype.itemsize)
        return np.frombuffer(raw, self.dtype, size).reshape(self.samples, len(STANDARD_LEADS))


@lru_cache(maxsize=8)
def _array(root: Path, path: str) -> _Array:
    file = (root / path).open("rb")
    if isinstance(file, io.TextIOBase):
        raise RecordError(f"{path} is no file of bytes")
    read = npy.read_array_header_1_0 if npy.read_magic(file) == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if len(shape) != 4 or shape[1] != 1 or shape[3] != len(STANDARD_LEADS) or fortran or dtype.kind not in "iuf":
        raise RecordError(f"{path} holds {dtype} {list(shape)}", "numbers [n, 1, 2500, 12] in C order")
    return _Array(file, file.tell(), int(shape[0]), int(shape[2]), dtype)


def _source(row: Row, split: str, place: int) -> Source:
    sex = (row.get("sex") or "").strip()[:1].upper()
    flags = [name for name in row if name.endswith(FLAG)]
    try:
        age, problem = number(row, "age_at_ecg"), ""
    except RecordError as error:
        age, problem = None, str(error)
    return Source(
        record_id=text(row["ecg_key"]) or "",
        path=f"EchoNext_{split}_waveforms.npy",
        patient_id=text(row["patient_key"]),
        labels=tuple(name.removesuffix(FLAG) for name in flags if text(row[name]) in ("1", "True", "true")),
        age=age,
        sex=sex if sex in ("M", "F") else None,
        fold=FOLDS.get(split),
        extra={name: text(cell) for name, cell in row.items() if name not in (*REQUIRED, "sex", "age_at_ecg", *flags)}
        | {"split": split, "split_row": place},
        problem=problem,
    )


def _training_fold(source: Source) -> int:
    return hashed_fold(source.patient_id or source.record_id) % TRAINING + 1
