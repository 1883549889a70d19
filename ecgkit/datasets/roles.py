"""Find out which column of a table holds what: the patient, the labels, the fold, and so on."""

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from ecgkit.datasets.given import Given
from ecgkit.datasets.tables import Table
from ecgkit.errors import DatasetError, did_you_mean

# Names of columns that mean one thing in the datasets of this field, most usual first; letters and digits only.
KNOWN: dict[str, tuple[str, ...]] = {
    "record": (
        *("recordid", "ecgid", "examid", "studyid", "record", "recordname", "filename", "file", "path", "filepath"),
        *("recording", "ecg", "id", "uid", "name"),
    ),
    "patient": ("patientid", "subjectid", "patient", "subject", "pid", "personid", "patientnumber", "ptid"),
    "labels": ("labels", "label", "dx", "diagnosis", "diagnoses", "scpcodes", "codes"),
    "fold": ("fold", "stratfold", "split"),
    "report": ("report", "ecgreport", "reporttext", "interpretation"),
    "age": ("age", "ageyears", "patientage", "ageatecg", "ageatexam"),
    "sex": ("sex", "gender", "patientsex"),
    "fs": ("fs", "samplingrate", "samplerate", "samplingfrequency", "samplefrequency", "frequency"),
    "unit": ("unit", "units"),
}
FALSE = {"", "0", "false", "no", "n", "-1"}  # -1 marks an uncertain finding, which is no label
TRUE = {"1", "true", "yes", "y"}


@dataclass(frozen=True)
class Roles:
    """The columns of a table by what they hold; empty where no column holds it.

    Args:
        record: Id, path or file name of the record.
        patient: Id of the patient.
        labels: One column of codes, or several columns.
        indicators: Those columns of `labels` that only say yes or no to a label of their name.
        fold: Fold.
        report: Report.
        age: Age in years.
        sex: Sex.
        fs: Sampling rate of the record's signal in Hz.
        unit: Unit of the record's signal.
    """

    record: str = ""
    patient: str = ""
    labels: tuple[str, ...] = ()
    indicators: frozenset[str] = frozenset()
    fold: str = ""
    report: str = ""
    age: str = ""
    sex: str = ""
    fs: str = ""
    unit: str = ""

    @property
    def used(self) -> set[str]:
        """All columns that have a role, except that of the record."""
        return {self.patient, *self.labels, self.fold, self.report, self.age, self.sex} - {""}

    def __str__(self) -> str:
        single = [(role, getattr(self, role)) for role in ("patient", "age", "sex", "fold", "report", "fs", "unit")]
        told = [f"{role}: {column}" for role, column in single if column]
        if self.labels:
            told.append(f"labels: {', '.join(self.labels)}")
        return "; ".join(told)


def find_roles(table: Table, given: Given) -> Roles:
    """Return which column of a table holds what: as the user says, else by the names of the columns."""
    plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(table.columns)}
    found = {role: next((plain[name] for name in names if name in plain), "") for role, names in KNOWN.items()}
    # A column that the user names may stand in another table of the dataset.
    named = {role: getattr(given, f"{role}_column") for role in ("record", "patient", "fold", "report")}
    found |= {role: column if column in table.columns else "" for role, column in named.items() if column}
    if not given.record_column:
        found["record"] = ""  # found by its content
    labels = tuple(column for column in given.label_columns if column in table.columns)
    if not given.label_columns and found["labels"]:
        labels = (found["labels"],)
    return Roles(
        record=found["record"],
        patient=found["patient"],
        labels=labels,
        indicators=frozenset(column for column in labels if _answers(table.column(column)) & TRUE),
        fold=found["fold"],
        report=found["report"],
        age=found["age"],
        sex=found["sex"],
        fs=found["fs"],
        unit=found["unit"],
    )


def check_column(columns: Sequence[str], column: str, option: str, table: str) -> None:
    """Refuse a column that a table lacks.

    Args:
        columns: Columns of the table.
        column: The column.
        option: Option that names it.
        table: Name of the table.

    Raises:
        DatasetError: The table has no such column.
    """
    if column not in columns:
        shown = ", ".join(columns[:20])
        raise DatasetError(
            f"{option} {column}: {table} has no such column", f"one of {shown}", did_you_mean(column, columns)
        )


def _answers(cells: Iterable[str | None]) -> set[str]:
    """Return the different cells of a column, in plain form, if all of them say yes or no; else nothing."""
    answers = set[str]()
    for cell in cells:
        answer = _plain(cell)
        if answer not in FALSE and answer not in TRUE:
            return set()
        answers.add(answer)
    return answers


def indicators_in(table: Table, used: Set[str]) -> list[str]:
    """Return the columns without a role that only say yes or no, and say both."""
    answers = {column: _answers(table.column(column)) for column in table.columns if column not in used}
    return [column for column, said in answers.items() if said & TRUE and said & FALSE - {""}]


def is_true(cell: str | None) -> bool:
    """Return whether a cell of an indicator column says yes."""
    return _plain(cell) in TRUE


def _plain(cell: str | None) -> str:
    return (cell or "").strip().lower().removesuffix(".0")
