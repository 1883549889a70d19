"""The database of Shandong Provincial Hospital (SPH).

Liu et al., A large-scale multi-label 12-lead electrocardiogram database with standardized diagnostic statements,
Scientific Data 9:272 (2022). ``metadata.csv`` lists the records; ``records/A00001.h5`` holds `ecg` ``[12, T]`` in mV at
500 Hz. Statements follow AHA/ACC/HRS: primary codes joined by ``;``, each with its modifiers joined by ``+``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.hdf5 import array_in, need_hdf5, open_hdf5
from ecgkit.datasets.header import Header
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import DatasetError, RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLE = "metadata.csv"
REQUIRED = ("ECG_ID", "AHA_Code", "Patient_ID")
FS = 500.0


class Sph(Dataset):
    """SPH as figshare publishes it, with unpacked records."""

    name = "sph"
    archives = ("sph",)
    code_system = "aha"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the table has the columns of SPH and the folder of records is there."""
        try:
            return (root / "records").is_dir() and next(stream_rows(root / TABLE, REQUIRED), None) is not None
        except DatasetError:
            return False

    def sources(self) -> Sequence[Source]:
        """List the records of ``metadata.csv``.

        Raises:
            DatasetError: h5py is not installed, or the table is missing or lacks a column.
        """
        need_hdf5("SPH")
        rows = stream_rows(self.root / TABLE, REQUIRED)
        return sources_of(rows, _source, record_id="ECG_ID", path="ECG_ID")

    def header(self, source: Source) -> Header:
        """Read the length of a record."""
        with one_error(source.path, "a record of SPH"), open_hdf5(self.root, source.path) as file:
            array = array_in(file, "ecg")
            if array.ndim != 2 or array.shape[0] != len(STANDARD_LEADS) or array.dtype.kind not in "iuf":
                raise RecordError(f"ecg of {source.path} is {list(array.shape)}", "numbers [12, T]")
            samples = int(array.shape[1])
        return Header(FS, samples, STANDARD_LEADS, "mV", STANDARD_LEADS)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        with one_error(source.path, "a record of SPH"), open_hdf5(self.root, source.path) as file:
            return recording_of(np.asarray(array_in(file, "ecg")[()], np.float64), header, source.path)


def _source(row: Row) -> Source:
    record = text(row["ECG_ID"]) or ""
    codes = (code.strip() for code in (text(row["AHA_Code"]) or "").split(";"))
    sex = (text(row.get("Sex")) or "")[:1].upper()
    return Source(
        record_id=record,
        path=f"records/{record}.h5" if record else "",
        patient_id=text(row["Patient_ID"]),
        labels=tuple(dict.fromkeys(code for code in codes if code)),
        age=number(row, "Age"),
        sex=sex if sex in ("M", "F") else None,
        extra={"date": text(row.get("Date"))},
    )
