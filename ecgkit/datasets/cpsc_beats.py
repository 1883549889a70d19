"""CPSC 2019 and 2020: one lead in a Matlab file, and reference beats in another.

Gao et al., An Open-Access ECG Database for Algorithm Evaluation of QRS Detection and Heart Rate Estimation, J. Med.
Imaging Health Inform. 9(9):1853-1858 (2019): ``data_00001.mat`` holds `ecg` at 500 Hz, ``R_00001.mat`` holds `R_peak`.
Cai et al., An Open-Access Long-Term Wearable ECG Database for Premature Ventricular Contractions and Supraventricular
Premature Beat Detection, J. Med. Imaging Health Inform. 10(11):2663-2667 (2020): ``A01.mat`` holds `ecg` at 400 Hz,
``R01.mat`` the premature beats, in the fields `S_ref` and `V_ref` of a struct `ref`. Samples are counted from 1. Lead
and scale are not stated: ``ECG1``, ``NU``.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.header import Header
from ecgkit.datasets.header_folder import first_headers
from ecgkit.datasets.matlab import load_arrays
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.walk import walk_named
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.recording import Recording

LEADS = ("ECG1",)


class _OneLead(Dataset):
    """A folder of Matlab files with one lead each."""

    names: ClassVar[re.Pattern[str]]
    marks: ClassVar[str]
    rate: ClassVar[float]

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the first Matlab files are records or marks of this challenge."""
        _, names = first_headers(root, ".mat")
        known = [name for name in names if cls.names.fullmatch(name) or re.fullmatch(cls.marks.format(r"\d+"), name)]
        return bool(names) and len(known) == len(names) and not first_headers(root)[1]

    def sources(self) -> Sequence[Source]:
        """List the records below the folder, each with the file of its marks."""
        paths, self.not_entered = walk_named(self.root, lambda name: name.endswith(".mat"))
        named = [(PurePosixPath(path).stem, path) for path in paths]
        files = dict(reversed(named))  # of two files of one name, the first is meant
        found = ((name, path, self.names.fullmatch(name)) for name, path in sorted(named))
        return [
            Source(
                record_id=name,
                path=path,
                patient_id=self._patient(name),
                labels=(),
                extra={"marks": files.get(self.marks.format(match[1]))},
            )
            for name, path, match in found
            if match
        ]

    def _patient(self, name: str) -> str | None:
        return None

    def header(self, source: Source) -> Header:
        """Read the length of a record."""
        return Header(self.rate, self._signal(source).size, LEADS, "NU", LEADS)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        return recording_of(self._signal(source)[None].astype(np.float64), header, source.path)

    def _signal(self, source: Source) -> NDArray[Any]:
        with one_error(source.path, "a Matlab file with one lead"):
            signal = _arrays(self.root, source.path).get("ecg")
            if signal is None or signal.size != max(signal.shape, default=0):
                raise RecordError(f"{source.path} holds no array ecg with one lead")
            return signal.reshape(-1)

    def _positions(self, source: Source, name: str) -> NDArray[np.int64] | None:
        """Return sample indices from the file of marks; None if there is no readable one."""
        path = source.extra["marks"]
        try:
            with one_error(str(path), "a Matlab file of marks"):
                array = _arrays(self.root, path).get(name) if path else None
        except RecordError:  # unreadable marks must not cost the signal
            return None
        return None if array is None else np.sort(array.reshape(-1).astype(np.int64)) - 1


class Cpsc2019(_OneLead):
    """CPSC 2019. The marked R peaks become reference R peaks."""

    name = "cpsc2019"
    archives = ("cpsc2019",)
    names = re.compile(r"data_(\d{5})")
    marks = "R_{}"
    rate = 500.0

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record with its reference R peaks."""
        peaks = self._positions(source, "R_peak")
        inside = None if peaks is None else peaks[(peaks >= 0) & (peaks < header.samples)]
        return replace(super().read(source, header), rpeaks=inside)


class Cpsc2020(_OneLead):
    """CPSC 2020. Marked premature beats become columns of sample indices. Each record is a patient's."""

    name = "cpsc2020"
    archives = ("cpsc2020",)
    names = re.compile(r"A(\d{2})")
    marks = "R{}"
    rate = 400.0

    def _patient(self, name: str) -> str | None:
        return name

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row with the premature beats: ventricular (V) and supraventricular (S)."""
        marks = {name: self._positions(source, f"{name}_ref") for name in ("V", "S")}
        columns = {f"premature_{name}": None if own is None else own.tolist() for name, own in marks.items()}
        return super().row(source, recording) | columns


def _arrays(root: Path, path: str) -> dict[str, NDArray[Any]]:
    check_inside(root, path)
    return load_arrays(root / path)
