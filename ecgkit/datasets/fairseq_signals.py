"""The folders that fairseq-signals makes: one Matlab file per record, listed in ``meta.csv``.

https://github.com/Jwoo5/fairseq-signals, ``scripts/preprocess/ecg``. ``org/`` holds the records as published, in mV;
``preprocessed/`` resampled and standardised ones, which have no unit. A file holds `feats` ``[L, T]`` and
`curr_sample_rate`. `meta.csv` names the file (`save_file`), the order of the leads and those that are there.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.header import Header
from ecgkit.datasets.matlab import load_arrays
from ecgkit.datasets.paths import check_inside
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import DatasetError, RecordError
from ecgkit.leads import STANDARD_LEADS
from ecgkit.recording import Recording

TABLE = "meta.csv"
ORIGINAL, STANDARDISED = "org", "preprocessed"
PATIENTS = ("subject_id", "patient_id")
SEXES = {"0": "M", "1": "F"}  # MALE_VALUE and FEMALE_VALUE of fairseq-signals
OWN = ("save_file", "age", "sex", "diagnosis", "comments", *PATIENTS)
_ITEM = re.compile(r"'([^']*)'")


class FairseqSignals(Dataset):
    """A folder that fairseq-signals made. The original records are read if they are there."""

    name = "fairseq-signals"
    code_system = "dx"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the table names saved files and a folder of them is there."""
        if not any((root / folder).is_dir() for folder in (ORIGINAL, STANDARDISED)):
            return False
        try:
            return next(stream_rows(root / TABLE, ("save_file",)), None) is not None
        except DatasetError:
            return False

    @property
    def _folder(self) -> str:
        return ORIGINAL if (self.root / ORIGINAL).is_dir() else STANDARDISED

    def sources(self) -> Sequence[Source]:
        """List the records of ``meta.csv``."""
        rows = stream_rows(self.root / TABLE, ("save_file",))
        folder = self._folder
        return sources_of(rows, lambda row: _source(row, folder), record_id="save_file", path="save_file")

    def header(self, source: Source) -> Header:
        """Read the rate and the length of a record."""
        with one_error(source.path, "a Matlab file of fairseq-signals"):
            feats, fs = _load(self.root, source.path)
            leads = _leads(source, feats)
        unit = "mV" if source.path.startswith(f"{ORIGINAL}/") else "NU"
        return Header(fs, feats.shape[1], leads, unit, leads)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record; leads that it lacks are left out."""
        with one_error(source.path, "a Matlab file of fairseq-signals"):
            feats, _ = _load(self.root, source.path)
            order = _order(source)
            signal = feats[[order.index(lead) for lead in header.leads]].astype(np.float64)
        return recording_of(np.ascontiguousarray(signal), header, source.path)


@lru_cache(maxsize=2)
def _load(root: Path, path: str) -> tuple[NDArray[Any], float]:
    check_inside(root, path)
    arrays = load_arrays(root / path)
    feats, fs = arrays.get("feats"), arrays.get("curr_sample_rate")
    if feats is None or feats.ndim != 2 or not feats.size:
        raise RecordError(f"{path} holds no array feats [L, T]")
    if fs is None or fs.size != 1 or not 0 < float(fs.item()) < float("inf"):
        raise RecordError(f"{path} holds no curr_sample_rate above 0")
    return feats, float(fs.item())


def _order(source: Source) -> tuple[str, ...]:
    return tuple(_ITEM.findall(str(source.extra.get("lead_order") or ""))) or STANDARD_LEADS


def _leads(source: Source, feats: NDArray[Any]) -> tuple[str, ...]:
    """Return the leads of a record that are known and hold any sample."""
    order = _order(source)
    if len(order) != len(feats):
        raise RecordError(f"feats of {source.path} has {len(feats)} rows", f"{len(order)}, as {TABLE} says")
    there = np.isfinite(feats).any(1)
    return tuple(lead for lead, any_sample in zip(order, there, strict=True) if any_sample and lead in STANDARD_LEADS)


def _source(row: Row, folder: str) -> Source:
    name = text(row["save_file"]) or ""
    patients = [text(row[column]) for column in PATIENTS if row.get(column)]
    codes = (code.strip() for code in (row.get("diagnosis") or "").split(","))
    return Source(
        record_id=name.removesuffix(".mat"),
        path=f"{folder}/{name}" if name else "",
        patient_id=patients[0] if patients else None,
        labels=tuple(dict.fromkeys(code for code in codes if code)),
        age=number(row, "age"),
        sex=SEXES.get(text(row.get("sex")) or ""),
        extra={column: text(value) for column, value in row.items() if column not in OWN},
    )
