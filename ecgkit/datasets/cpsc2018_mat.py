"""CPSC 2018 as its organisers published it: ``REFERENCE.csv``, and a Matlab struct per record.

Liu et al., An Open Access Database for Evaluating the Algorithms of Electrocardiogram Rhythm and Morphology
Abnormality Detection, J. Med. Imaging Health Inform. 8(7):1368-1373 (2018). ``ECG.data`` is ``[12, T]`` in mV at
500 Hz. The struct also holds ``ECG.sex`` and ``ECG.age``. The table gives up to three of nine labels per record, as
numbers.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.cinc import WORDS
from ecgkit.datasets.header import Header
from ecgkit.datasets.header_folder import first_headers
from ecgkit.datasets.matlab import load_struct
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, sources_of, stream_rows, text
from ecgkit.datasets.walk import walk_named
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLE = "REFERENCE.csv"
LABELS = ("First_label", "Second_label", "Third_label")
FS = 500.0
_NAMES = re.compile(r"A\d{4}")


class Cpsc2018Mat(Dataset):
    """The original files. Labels are the words that the table's numbers 1 to 9 stand for."""

    name = "cpsc2018-mat"
    archives = ("cpsc2018",)
    code_system = "cpsc2018"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder, or one below it, holds ``REFERENCE.csv`` and Matlab files without headers."""
        if not (root / TABLE).is_file() and not any((entry / TABLE).is_file() for entry in root.iterdir()):
            return False
        _, names = first_headers(root, ".mat")
        return bool(names) and all(_NAMES.fullmatch(name) for name in names) and not first_headers(root)[1]

    def sources(self) -> Sequence[Source]:
        """List the records of every ``REFERENCE.csv``. One table may list records in several folders."""
        files, self.not_entered = walk_named(self.root, lambda name: name == TABLE or name.endswith(".mat"))
        paths = {PurePosixPath(path).stem: path for path in files if path.endswith(".mat")}
        tables = [self.root / path for path in files if PurePosixPath(path).name == TABLE]
        listed = (row for table in tables for row in stream_rows(table, ("Recording", LABELS[0])))
        rows = ({**row, "path": paths.get(text(row["Recording"]) or "", f"{row['Recording']}.mat")} for row in listed)
        return sources_of(rows, _source, record_id="Recording", path="path")

    def header(self, source: Source) -> Header:
        """Read the length of a record, and its patient's age and sex."""
        ecg = self._load(source)
        comments = [f"{name.title()}: {ecg[name]}" for name in ("age", "sex") if np.ndim(ecg.get(name, [])) == 0]
        return Header(FS, ecg["data"].shape[1], STANDARD_LEADS, "mV", STANDARD_LEADS, comments=tuple(comments))

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        return recording_of(np.asarray(self._load(source)["data"], np.float64), header, source.path)

    def _load(self, source: Source) -> dict[str, Any]:
        with one_error(source.path, "a Matlab file of CPSC 2018"):
            check_inside(self.root, source.path)
            ecg = load_struct(self.root / source.path, "ECG")
            data = ecg.get("data")
            if not isinstance(data, np.ndarray) or data.ndim != 2 or len(data) != 12 or data.dtype.kind not in "iuf":
                raise RecordError(f"ECG.data of {source.path} is not a numeric array of shape [12, T]")
            return ecg


def _source(row: Row) -> Source:
    numbers = [text(row.get(column)) for column in LABELS]
    unknown = [cell for cell in numbers if cell and cell not in set("123456789")]
    if unknown:
        raise RecordError(f"{TABLE} gives label {unknown[0][:20]!r}", "a number from 1 to 9")
    return Source(
        record_id=text(row["Recording"]) or "",
        path=row["path"],
        labels=tuple(WORDS[int(cell) - 1] for cell in numbers if cell),
    )
