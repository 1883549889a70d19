"""ZZU pECG: ECGs of children of 14 years or below, with 9 or 12 leads.

A pediatric ECG database with disease diagnosis covering 11643 children, Scientific Data (2025).
``AttributesDictionary.csv`` lists the records. Codes are quoted and joined by ``;`` (``'C21';'D31'``), ages are in days
(``572d``), and the WFDB records lie in ``Child_ecg/``.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.tables import Row, sources_of, stream_rows, text

TABLE, SIGNALS = "AttributesDictionary.csv", "Child_ecg"
REQUIRED = ("Filename", "ECG_ID", "Patient_ID", "AHA_code")
DAYS = 365.25  # in a year
_CODE = re.compile(r"[^;']+")
_AGE = re.compile(r"'?(\d+)\s*d?'?")


class ZzuPecg(Dataset):
    """ZZU pECG as figshare publishes it, with unpacked records."""

    name = "zzu-pecg"
    archives = ("zzu-pecg",)
    code_system = "aha"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the table of this archive is there, and a folder of its records."""
        # Another archive of ECGs has a table of this name, which describes columns and not records.
        return (root / TABLE).is_file() and ((root / SIGNALS).is_dir() or (root / "P00").is_dir())

    def sources(self) -> Sequence[Source]:
        """List the records of ``AttributesDictionary.csv``."""
        rows = stream_rows(self.root / TABLE, REQUIRED)
        folder = f"{SIGNALS}/" if (self.root / SIGNALS).is_dir() else ""
        return sources_of(rows, lambda row: _source(row, folder), record_id="ECG_ID", path="Filename")


def _source(row: Row, folder: str) -> Source:
    age = _AGE.fullmatch((row.get("Age") or "").strip())
    sex = (row.get("Gender") or "").strip("' ")[:1].upper()
    return Source(
        record_id=text(row["ECG_ID"]) or "",
        path=f"{folder}{(row['Filename'] or '').removesuffix('.hea')}",
        patient_id=text(row["Patient_ID"]),
        labels=_codes(row, "AHA_code"),
        age=int(age[1]) / DAYS if age else None,
        sex=sex if sex in ("M", "F") else None,
        extra={
            "age_days": float(age[1]) if age else None,
            "chn_codes": list(_codes(row, "CHN_code")),
            "icd10_codes": list(_codes(row, "ICD-10 code")),
            "acquisition_date": text(row.get("Acquisition_date")),
        },
    )


def _codes(row: Row, column: str) -> tuple[str, ...]:
    found = (code.strip() for code in _CODE.findall(row.get(column) or ""))
    return tuple(dict.fromkeys(code for code in found if code and code.lower() != "null"))
