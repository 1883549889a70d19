"""Find the record that each row of a table is about: by the record's id, its path or its file name, or by the order."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.base import Source, utf8
from ecgkit.datasets.roles import KNOWN
from ecgkit.datasets.spool import BLOCK, unnamed_database
from ecgkit.datasets.tables import Table
from ecgkit.errors import DatasetError

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_EXAMPLES = 3
_NONE = -1


@dataclass(frozen=True)
class Match:
    """The record that each row of a table is about.

    Args:
        places: For each row ``[rows]``, the place of its record among the sources; -1 if it is about none.
        sources: Number of sources.
        column: The column that names the records; empty if the rows are in the order of the records.
    """

    places: NDArray[np.int64]
    sources: int
    column: str

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """For each source ``[sources]``, the first row that is about it; -1 if there is none."""
        rows = np.full(self.sources, _NONE, np.int64)
        backwards = np.flatnonzero(self.places != _NONE)[::-1]
        rows[self.places[backwards]] = backwards  # of several rows the first is written last
        return rows

    @cached_property
    def is_first(self) -> NDArray[np.bool_]:
        """For each row ``[rows]``, whether it is the first that is about its source."""
        is_first = np.zeros(len(self.places), bool)
        is_first[self.rows[self.rows != _NONE]] = True
        return is_first

    @cached_property
    def is_twice(self) -> NDArray[np.bool_]:
        """For each source ``[sources]``, whether several rows are about it."""
        return np.bincount(self.places[self.places != _NONE], minlength=self.sources) > 1

    @property
    def found(self) -> int:
        """Number of sources that a row is about."""
        return int(self.is_first.sum())

    @property
    def spare(self) -> int:
        """Number of rows that are about no source."""
        return int((self.places == _NONE).sum())


class Names:
    """The names under which a table may speak of each source, on disk.

    A source has the names of its id and of its path, each whole and without its folders. A name of digits also stands
    for the same number with other zeros before it. A name that several sources have names none of them.

    Args:
        sources: All records of a dataset.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = len(sources)
        self._base = unnamed_database(self)
        self._base.executescript(_TABLE)
        self._base.executemany(_ADD, _named(sources))
        self._base.execute(_SHARE)

    def places(self, cells: Iterable[str | None]) -> NDArray[np.int64]:
        """Return the place of the source that each cell names; -1 if it names none, or one of several."""
        return np.fromiter(self._found(map(_key, cells)), np.int64)

    def _found(self, keys: Iterator[str]) -> Iterator[int]:
        while block := list(islice(keys, BLOCK)):
            last = [_last(key) for key in block]
            named = self._ask(False, {*block, *last})
            numbers = self._ask(True, {_digits(name) for name in last if name.isdecimal()})
            for whole, name in zip(block, last, strict=True):
                known = named.get(whole, named.get(name))
                if known is None:
                    known = numbers.get(_digits(name)) if name.isdecimal() else None
                yield _NONE if known is None else known

    def _ask(self, is_number: bool, names: set[str]) -> dict[str, int]:
        marks = ",".join("?" * len(names))
        query = f"SELECT name, place FROM named WHERE is_number = ? AND name IN ({marks})"
        return dict(self._base.execute(query, (is_number, *names)))


_TABLE = """
CREATE TABLE named (is_number INTEGER, name TEXT, place INTEGER, PRIMARY KEY (is_number, name)) WITHOUT ROWID;
"""
_ADD = f"""
INSERT INTO named VALUES (?, ?, ?)
    ON CONFLICT (is_number, name) DO UPDATE SET place = {_NONE} WHERE place != excluded.place
"""
# A number that stands for several sources does not name one of them even if it is its very name.
_SHARE = f"""
UPDATE named SET place = {_NONE} WHERE NOT is_number
    AND name IN (SELECT name FROM named WHERE is_number AND place = {_NONE})
"""


def _named(sources: Sequence[Source]) -> Iterator[tuple[bool, str, int]]:
    """Yield the names of the sources, with their places."""
    for place, source in enumerate(sources):
        names = {_key(source.record_id), _key(source.path)}
        names |= {_last(name) for name in names}
        yield from ((False, name, place) for name in names)
        yield from ((True, _digits(name), place) for name in names if name.isdecimal())


def match_rows(table: Table, names: Names, column: str, *, in_order: bool) -> Match | None:
    """Match the rows of a table with sources.

    Args:
        table: The table.
        names: The names of all records of the dataset.
        column: Column that names the records; empty to find it.
        in_order: Whether the sources have an order of their own, which the rows of a table may follow.

    Returns:
        The match; None if no column names records.
    """
    match = Match(names.places(table.column(column)), names.sources, column) if column else _best_match(table, names)
    if match and match.found:
        return match
    if in_order and len(table) == names.sources:
        return Match(np.arange(names.sources), names.sources, "")
    return None


def no_match(table: Table, sources: Sequence[Source], column: str) -> DatasetError:
    """Return the error for a table of which no row is about a record, with examples of both sides."""
    count = sum(bool(cell) for cell in table.column(column)) if column else 0
    cells = islice(filter(None, table.column(column)), _EXAMPLES) if column else ()
    shown = ", ".join(repr(cell[:40]) for cell in cells)
    where = f"column {column} of {table.name} ({count} ids, such as {shown})" if column else f"{table.name}"
    ids = ", ".join(repr(source.record_id[:40]) for source in sources[:_EXAMPLES])
    return DatasetError(
        f"{where} names none of the {len(sources)} records (such as {ids})",
        remedy="Name the column with the ids, paths or file names of the records: --record-column COLUMN.",
    )


def likely_column(columns: Sequence[str]) -> str:
    """Return the column of a table that is most likely to name records, by its name; empty if there is none."""
    plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(columns)}
    return next((plain[name] for name in KNOWN["record"] if name in plain), "")


def _best_match(table: Table, names: Names) -> Match | None:
    """Return the match by the first column that names at least half of the records, or records in half of its rows.

    Columns with a usual name come first. A column of ages may name a few records by chance, but not so many.
    """
    known = likely_column(table.columns)
    for column in sorted(table.columns, key=lambda column: column != known):
        match = Match(names.places(table.column(column)), names.sources, column)
        if match.found and 2 * match.found >= min(len(table), names.sources):
            return match
    return None


def _key(name: str | None) -> str:
    """Return a name without blanks around it, ``./`` before it and a suffix such as ``.dat`` after it."""
    plain = (name or "").strip().replace("\\", "/").removeprefix("./").removesuffix(".0")
    return utf8(_SUFFIX.sub("", plain))


def _last(key: str) -> str:
    return key.rpartition("/")[2]


def _digits(name: str) -> str:
    return name.lstrip("0")
