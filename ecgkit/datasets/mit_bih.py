"""The MIT-BIH Arrhythmia Database: two leads, 30 minutes per record, every beat marked by cardiologists.

Moody and Mark, The impact of the MIT-BIH Arrhythmia Database, IEEE Eng. Med. Biol. 20(3):45-50 (2001), doi
10.13026/C2F305.
"""

import re
from pathlib import Path
from typing import Any

from ecgkit.datasets.base import Source
from ecgkit.datasets.header_folder import HeaderFolder
from ecgkit.recording import Recording

# The first comment holds age and sex, then recorder and tape; unknown values are -1 and ?.
_PATIENT = re.compile(r"(-?\d+) ([MF?]) ")
# "Records 201 and 202 are from the same subject."
SAME_PATIENT = {"202": "201"}


class MitBih(HeaderFolder):
    """The database has no labels per record. The marked beats become reference R peaks."""

    name = "mit-bih"
    code_system = ""
    names = re.compile(r"[12]\d\d")

    @classmethod
    def fits(cls, folder: Path, name: str) -> bool:
        """Return whether the header has a reference annotation file beside it."""
        return (folder / f"{name}.atr").is_file()

    def source(self, path: str) -> Source:
        """Return the record's source, with the patient."""
        name = path.rpartition("/")[2]
        return Source(record_id=name, path=path, patient_id=SAME_PATIENT.get(name, name))

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row with age and sex, which the first comment holds without keys."""
        row = super().row(source, recording)
        if recording.comments and (known := _PATIENT.match(recording.comments[0])):
            row["age"] = float(known[1]) if int(known[1]) > 0 else None
            row["sex"] = known[2] if known[2] != "?" else None
        return row
