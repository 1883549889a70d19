"""The Norwegian Endurance Athlete ECG Database.

Singstad, Norwegian Endurance Athlete ECG Database, PhysioNet (2022), doi 10.13026/qpjf-gk87. Header comments hold the
machine's text (``SL12``) and the cardiologist's (``C``). Each lead is scaled on its own, so amplitudes of different
leads cannot be compared.
"""

import re
from typing import Any

from ecgkit.datasets.base import Source
from ecgkit.datasets.comments import comment_fields
from ecgkit.datasets.header_folder import HeaderFolder
from ecgkit.recording import Recording


class NorwegianAthletes(HeaderFolder):
    """One record per athlete. The report is the cardiologist's; the machine's text has its own column."""

    name = "norwegian-athletes"
    code_system = ""
    names = re.compile(r"ath_\d{3}")

    def source(self, path: str) -> Source:
        """Return the record's source, with the patient. Each record comes from a different athlete."""
        name = path.rpartition("/")[2]
        return Source(record_id=name, path=path, patient_id=name)

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row with both texts."""
        fields = comment_fields(recording.comments)
        return {
            **super().row(source, recording),
            "report": fields.get("c") or None,
            "machine_report": fields.get("sl12") or None,
        }
