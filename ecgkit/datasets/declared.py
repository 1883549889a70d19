"""A layout that the card of an archive declares: a folder of WFDB records, each header one record.

`ecgkit.archives.card.Reading` says what a card can declare: names of headers, patients, leads, labels and comments.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ecgkit.archives.card import ArchiveCard, Reading
from ecgkit.datasets.base import Source
from ecgkit.datasets.given import NOTHING_GIVEN, Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.header_folder import HEADER, HeaderFolder, first_headers, headers_below
from ecgkit.datasets.paths import read_bytes
from ecgkit.datasets.repeats import repeated
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.wfdb_header import decode_text
from ecgkit.datasets.wfdb_record import read_header
from ecgkit.errors import DatasetError
from ecgkit.recording import Recording

# What publishers write where they know nothing.
UNKNOWN = frozenset({"", "-", "?", "n/a", "nan", "no", "none", "unknown"})
_FIELDS = frozenset({"patient", "age", "sex", "label", "labels", "report"})


@dataclass(frozen=True)
class DeclaredLayout:
    """The layout of a card. It is used like a class of `Dataset`: asked for a folder, and called with it.

    Args:
        card: A card with a `reading`.
    """

    card: ArchiveCard

    def recognises(self, root: Path) -> bool:
        """Return whether all headers of the first folder that holds headers have names of this archive.

        Where the archive keeps patients in the names of folders or records, the path must name one.
        """
        folder, names = first_headers(root)
        reading = _reading(self.card)
        fits = bool(names) and all(re.fullmatch(reading.headers, name) for name in names)
        path = f"{root.name}{str(folder).removeprefix(str(root))}/{names[0]}" if names else ""
        fits = fits and (not reading.patient or re.search(reading.patient, path) is not None)
        return fits and (not reading.beside or (folder / f"{names[0]}{reading.beside}").is_file())

    def is_certain(self, root: Path) -> bool:
        """Return False: names of headers are no proof."""
        return False

    def __call__(self, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> "DeclaredFolder":
        """Return the dataset in a folder."""
        return DeclaredFolder(self.card, root, fs=fs, given=given)


class DeclaredFolder(HeaderFolder):
    """A folder that a card says how to read. A table beside the files may say more of the records.

    Args:
        card: The card.
        root: The dataset's folder.
        fs: See `ecgkit.datasets.base.Dataset`.
        given: See `ecgkit.datasets.base.Dataset`. Names of leads that a user gives replace those of the card.
    """

    takes_table = True

    def __init__(self, card: ArchiveCard, root: Path, *, fs: float | None = None, given: Given = NOTHING_GIVEN) -> None:
        super().__init__(root, fs=fs, given=given)
        self.card = card
        self.reading = _reading(card)
        self.name = card.name
        self.code_system = self.reading.code_system
        self.archives = (card.name,)
        self.own_tables = self.reading.labels.files if self.reading.labels else ()

    def sources(self) -> Sequence[Source]:
        """List every header below the folder. Where names of records repeat, their paths are the ids.

        Raises:
            DatasetError: The table of labels cannot be read.
        """
        paths, self.not_entered = headers_below(self.root)
        twice = set(repeated(lambda: (path.rpartition("/")[2] for path in paths)))
        labels = self._labels()
        return Spool(self._source(path, twice, labels) for path in paths)

    def _source(self, path: str, twice: set[str], labels: dict[str, tuple[str, ...]] | None) -> Source:
        name = path.rpartition("/")[2]
        return Source(
            record_id=path if name in twice else name,
            path=path,
            patient_id=self._patient(path, name),
            labels=None if labels is None else labels.get(name, ()),
        )

    def _patient(self, path: str, name: str) -> str | None:
        reading = self.reading
        if reading.patient:
            found = re.search(reading.patient, path)
            return found[1] if found else None
        if reading.each_record_is_a_patient:
            return reading.same_patient.get(name, name)
        if any("(?P<patient>" in pattern for pattern in reading.comments):
            return _first(self._found(self._comments(path)), "patient")
        return None

    def _comments(self, path: str) -> tuple[str, ...]:
        try:
            lines = decode_text(read_bytes(self.root, f"{path}{HEADER}")).split("\n")
        except OSError:  # reported when the header is read as a record
            return ()
        return tuple(line.strip(" \t\r#") for line in lines if line.startswith("#"))

    def _labels(self) -> dict[str, tuple[str, ...]] | None:
        table = self.reading.labels
        if table is None:
            return None
        for name in table.files:
            files = sorted(self.root.rglob(name), key=str)
            if files:
                rows = [row for file in files for row in _rows(file, table.columns)]
                return {row[table.record]: (row[table.label],) for row in rows if row.get(table.label)}
        return {}

    def header(self, source: Source) -> Header:
        """Read the header of a record; the card names leads whose names do not say it."""
        naming = self.given.naming
        if not naming.order and not naming.renames:
            renames = tuple((name.lower(), lead) for name, lead in self.reading.leads.items())
            naming = replace(naming, order=self.reading.lead_order, renames=renames)
        return read_header(self.root, source.path, naming)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record. Annotations that mark rhythms but no beat are no reference beats."""
        recording = super().read(source, header)
        none = recording.rpeaks is not None and not len(recording.rpeaks)
        return replace(recording, rpeaks=None) if none else recording

    def row(self, source: Source, recording: Recording) -> dict[str, Any]:
        """Return the record's row with what the card finds in the comments."""
        row = super().row(source, recording)
        if not self.reading.comments:
            return row
        found = self._found(recording.comments)
        age, sex = _first(found, "age"), (_first(found, "sex") or "")[:1].upper()
        own = {name: _first(found, name) for name in self._columns}
        if source.labels is None:
            joined = (label.strip() for text in found.get("labels", ()) for label in text.split(","))
            row["labels"] = list(dict.fromkeys((*found.get("label", ()), *(label for label in joined if label))))
        return {
            **row,
            **own,
            "age": float(age) if age else row["age"],
            "sex": sex if sex in ("M", "F") else row["sex"],
            "report": _first(found, "report") or row["report"],
        }

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        names = (name for pattern in self.reading.comments for name in re.compile(pattern).groupindex)
        return tuple(dict.fromkeys(name for name in names if name not in _FIELDS))

    def _found(self, comments: Sequence[str]) -> dict[str, list[str]]:
        """Return the values of each named group in the comments, in order."""
        text = "\n".join(line.strip() for line in comments)
        found: dict[str, list[str]] = {}
        for pattern in self.reading.comments:
            for match in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE):
                for name, value in match.groupdict().items():
                    if value is not None and value.strip().lower() not in UNKNOWN:
                        found.setdefault(name, []).append(value.strip())
        return found


def _reading(card: ArchiveCard) -> Reading:
    if card.reading is None:
        raise DatasetError(f"the card of {card.name} does not say how its folder is read")
    return card.reading


def _first(found: dict[str, list[str]], name: str) -> str | None:
    return found[name][0] if name in found else None


def _rows(file: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file; `columns` names its columns if its first line does not."""
    try:
        text = decode_text(file.read_bytes())
    except OSError as error:
        raise DatasetError(f"{file} cannot be read ({error})") from None
    for row in csv.DictReader(io.StringIO(text), fieldnames=columns or None):
        yield {name: (value or "").strip() for name, value in row.items() if isinstance(value, str) and name}
