"""MIMIC-IV-ECG 1.0.

Gow et al., MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset, PhysioNet (2023), doi 10.13026/4nqg-sb35.
``record_list.csv`` lists the records. ``waveform_note_links.csv`` names the cardiologist's note of a record; the notes
themselves are not published yet, so their ids are kept, and no text is joined.
``machine_measurements.csv`` holds the machine's report (up to 18 statements) and intervals. All tables are joined by
``study_id``. The files order the leads I II III aVR aVF aVL V1..V6, so leads are always found by name.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.spool import Keyed
from ecgkit.datasets.tables import Row, number, sources_of, stream_rows, text

RECORDS = "record_list.csv"
LINKS = "waveform_note_links.csv"
# Columns of the links that are kept, by the name that they get.
NOTE = {"note_id": "note_id", "note_seq": "note_seq", "charttime": "note_time"}
MEASUREMENTS = "machine_measurements.csv"
STATEMENTS = [f"report_{i}" for i in range(18)]
INTERVALS = (
    "rr_interval",
    "p_onset",
    "p_end",
    "qrs_onset",
    "qrs_end",
    "t_end",
    "p_axis",
    "qrs_axis",
    "t_axis",
)
# Values that the machine writes for an interval or axis that it did not measure.
NOT_MEASURED = 29999.0


class MimicIvEcg(Dataset):
    """MIMIC-IV-ECG as PhysioNet publishes it. It ships no labels; labels come from a header's ``Dx`` line, if any."""

    name = "mimic-iv-ecg"
    archives = ("mimic-iv-ecg",)
    code_system = "snomed"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder holds ``record_list.csv``."""
        return (root / RECORDS).is_file()

    def sources(self) -> Sequence[Source]:
        """List the records of ``record_list.csv`` with their reports."""
        records = stream_rows(self.root / RECORDS, ("subject_id", "study_id", "path"))
        measured = self._by_study(MEASUREMENTS, (*STATEMENTS, *INTERVALS))
        notes = self._by_study(LINKS, tuple(NOTE), ("study_id", "note_id"))

        def source(row: Row) -> Source:
            study = text(row["study_id"]) or ""
            found, note = self._source(row, measured.get(study)), notes.get(study)
            return replace(found, extra={**found.extra, **{name: text(note.get(own)) for own, name in NOTE.items()}})

        return sources_of(records, source, record_id="study_id", path="path")

    def _by_study(self, name: str, kept: Sequence[str], needed: Sequence[str] = ("study_id",)) -> Keyed:
        """Return some columns of a table by study; no row if the table was not downloaded."""
        file = self.root / name
        rows = stream_rows(file, needed) if file.is_file() else iter(())
        return Keyed(((text(row["study_id"]) or "", row) for row in rows), kept)

    def _source(self, row: Row, measured: Row) -> Source:
        statements = [text(measured.get(name)) for name in STATEMENTS]
        intervals = {name: number(measured, name) for name in INTERVALS}
        return Source(
            record_id=text(row["study_id"]) or "",
            path=text(row["path"]) or "",
            patient_id=text(row["subject_id"]),
            report="\n".join(statement.strip() for statement in statements if statement) or None,
            extra={
                "ecg_time": text(row.get("ecg_time")),
                **{name: None if value == NOT_MEASURED else value for name, value in intervals.items()},
            },
        )
