"""Base class of dataset layouts: a layout finds the records of a folder, reads their metadata, and reads each signal.

Each layout is one small module with one subclass of `Dataset`. Paths are relative to the folder and never lead out of
it. Labels stay in the dataset's own codes; tasks map them later.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from ecgkit.datasets import wfdb_record
from ecgkit.datasets.comments import parse_comments, split_codes
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.identity import plain_id
from ecgkit.datasets.spool import mapped
from ecgkit.datasets.walk import Refused
from ecgkit.errors import RecordError
from ecgkit.recording import Recording

FOLDS = 10
# Columns of the record table that ecgkit fills itself. A column of a dataset with such a name gets another one.
RESERVED = {
    *(
        "record_id",
        "patient_id",
        "path",
        "labels",
        "likelihoods",
        "report",
        "age",
        "sex",
        "fold",
        "start",
        "slot",
        "fs",
    ),
    *("samples", "leads", "derived_leads", "source_leads", "other_signals", "unit", "clipped_samples", "rpeaks"),
    *("amplitude_steps", "amplitude_offsets"),
    *("flags", "limb_fault", "sha256"),
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One record, as its dataset lists it.

    Args:
        record_id: Id of the record, unique within the dataset.
        path: Path of the record, relative to the dataset's folder; without suffix for WFDB records.
        patient_id: The dataset's id of the patient; None if the dataset has none.
        labels: Codes in the dataset's own system; None to take them from the header's ``Dx`` comment.
        likelihoods: One likelihood per label, if the dataset gives them.
        report: Free text. The statements of a machine report are joined by line breaks.
        age: Age in years.
        sex: ``M`` or ``F``.
        fold: The published fold, 1 to 10; None if there is none.
        fs: Sampling rate of the signal in Hz, if the dataset's list states it and the file may not.
        unit: Unit of the signal, if the dataset's list states it and the file may not.
        extra: Any other columns of the dataset, under their own names. All values of a column have one type.
        problem: Reason why the record cannot be ingested; such a record goes to the ledger.
    """

    record_id: str
    path: str
    patient_id: str | None = None
    labels: tuple[str, ...] | None = None
    likelihoods: tuple[float, ...] | None = None
    report: str | None = None
    age: float | None = None
    sex: str | None = None
    fold: int | None = None
    fs: float | None = None
    unit: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "patient_id", plain_id(self.patient_id))


class Dataset(ABC):
    """A dataset in a folder, in the layout of its publisher.

    Args:
        root: The dataset's folder.
        fs: Preferred sampling rate in Hz, for datasets that ship several rates.
        given: What the user says of the dataset that its files do not say.

    `findings` are lines for the user: what the layout found by looking, such as the order of axes. `columns` are the
    columns of the tables that describe the records. `not_entered` are the folders that `sources` could not look into.
    """

    # Name of the layout. An instance may override the value of its class.
    name: str
    # Whether a table beside the files may say more of the records. A published layout has tables of its own.
    takes_table: ClassVar[bool] = False
    # Names of tables that the layout reads itself.
    own_tables: Sequence[str] = ()
    # Whether the folder may also be one file.
    takes_file: ClassVar[bool] = False
    # Whether the records have an order of their own, which a table may follow instead of naming them.
    in_order: bool = False
    # Name of the table that describes the records, once it is found.
    described_by: str = ""
    # Code system of the labels. An instance may override the value of its class.
    code_system: str = ""

    # Archives that the records come from, as `ecgkit.archives` names them.
    archives: Sequence[str] = ()

    def __init__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> None:
        self.root = root
        self.fs = fs
        self.given = given
        self.findings: list[str] = []
        self.columns: set[str] = set()
        self.not_entered: list[Refused] = []

    @classmethod
    @abstractmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder has this layout."""

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return whether the folder itself shows this layout, by a table of its own or the names of its folders.

        The names of records are no proof: they may lie in the folder of another dataset one level below.
        """
        return cls.recognises(root)

    @abstractmethod
    def sources(self) -> Sequence[Source]:
        """List the records of the folder.

        Raises:
            DatasetError: A table is missing or lacks a column.
        """

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse a dataset of which something is unknown that no record can do without.

        Args:
            sources: All records, with what tables and paths say of them.

        Raises:
            DatasetError: What is unknown, and the options that state it.
        """
        return

    def header(self, source: Source) -> Header:
        """Read what the plan of the store needs: sampling rate, length and leads.

        Args:
            source: One of `sources`.

        Raises:
            RecordError: The header cannot be read, or names a file outside the folder.
        """
        return wfdb_record.read_header(self.root, source.path, self.given.naming)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record.

        Args:
            source: One of `sources`.
            header: The header that `header` returned, in this process or in another.

        Raises:
            RecordError: The record cannot be read or is damaged.
        """
        return wfdb_record.read_signal(self.root, source.path, header)

    def read_part(self, source: Source, header: Header, start: int, stop: int) -> Recording:
        """Read one record from sample `start` up to `stop`. A layout whose `read` is this class's own reads no more.

        Raises:
            RecordError: The record cannot be read or is damaged.
        """
        if type(self).read is Dataset.read:
            return wfdb_record.read_part(self.root, source.path, header, start, stop)
        return self.read(source, header).part(start, stop)

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return a record's columns of the record table, including those from its header comments.

        Args:
            source: A source that `settle` returned.
            recording: The recording that `read` returned for it.
        """
        comments = parse_comments(recording.comments)
        named = NOTHING_GIVEN if self.described_by else self.given  # columns of the table, or keys of the comments
        labels, facts = source.labels, recording.facts
        if labels is None:
            codes = [code for key in named.label_columns for code in split_codes(comments.find(key) or "")]
            labels = tuple(codes) or comments.labels
        patient = plain_id(source.patient_id or comments.find(named.patient_column) or facts.get("patient_id"))
        columns = {f"comment_{key}" if key in RESERVED else key: value for key, value in comments.columns.items()}
        return {
            **columns,
            **facts,
            **source.extra,
            "record_id": source.record_id,
            "patient_id": patient,
            "fold": source.fold or hashed_fold(patient or facts.get("patient_text") or source.record_id),
            "labels": list(labels),
            "likelihoods": None if source.likelihoods is None else list(source.likelihoods),
            "report": source.report or comments.find(named.report_column) or facts.get("report"),
            "age": facts.get("age", comments.age) if source.age is None else source.age,
            "sex": source.sex or facts.get("sex", comments.sex),
            "path": source.path,
        }


def settle(sources: Sequence[Source]) -> Sequence[Source]:
    """Give every source its published fold, or the problem why it cannot be ingested.

    If the dataset publishes folds, a source without one takes the fold of its patient. Published folds are never mixed
    with hashed folds, since that could put one patient into training and test. Only if a dataset publishes no folds at
    all are folds hashed from the patient ids, by `Dataset.row`: some files name the patient themselves.
    """
    checked = mapped(sources, _checked)
    if all(source.fold is None for source in sources):
        return checked
    good = (source for source in checked if source.fold is not None and not source.problem)
    lack = any(source.fold is None for source in sources)
    of_patient = {source.patient_id: source.fold for source in good if source.patient_id} if lack else {}
    return mapped(checked, lambda _, source: source if source.problem else _with_published_fold(source, of_patient))


def _checked(at: int, source: Source) -> Source:
    problem = "" if source.problem else _problem(source, at + 1)
    record_id, path = utf8(source.record_id), utf8(source.path)
    if record_id is not source.record_id or path is not source.path:
        problem = str(RecordError("the file's name is not valid UTF-8", remedy="Rename the file."))
        return replace(source, problem=problem, record_id=record_id, path=path)
    return replace(source, problem=problem) if problem else source


def utf8(name: str) -> str:
    """Return a name itself if it is valid UTF-8, else one in which the other bytes are written as escapes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return name


def _problem(source: Source, number: int) -> str:
    """Return what is wrong with a source, as its dataset lists it, or an empty text."""
    if not source.record_id.strip():
        return str(RecordError(f"record {number} in the dataset's list has no id"))
    if not source.path.strip():
        return str(RecordError("the dataset's list gives no path for the record"))
    if source.fold is not None and source.fold not in range(1, FOLDS + 1):
        return str(RecordError(f"the published fold is {source.fold}", f"a whole number from 1 to {FOLDS}"))
    return ""


def _with_published_fold(source: Source, of_patient: Mapping[str, int | None]) -> Source:
    fold = of_patient.get(source.patient_id or "") if source.fold is None else source.fold
    if fold is not None:
        return replace(source, fold=fold)
    error = RecordError(f"neither the record nor its patient has a published fold (1 to {FOLDS})")
    return replace(source, problem=str(error))


def hashed_fold(key: str) -> int:
    """Return a fold, 1 to 10, that depends only on a patient's id: the same in every store and every release."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % FOLDS + 1
