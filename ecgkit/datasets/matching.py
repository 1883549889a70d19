"""Find the record that each row of a table is about: by the record's id, its path or its file name, or by the order."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.datasets.base import Source
from ecgkit.datasets.roles import KNOWN
from ecgkit.datasets.tables import Row, Table
from ecgkit.errors import DatasetError

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,6}$")
_EXAMPLES = 3


@dataclass(frozen=True)
class Match:
    """The rows of a table that are about records.

    Args:
        rows: The row of each source, by its place among the sources.
        column: The column that names the records; empty if the rows are in the order of the records.
        twice: Places of the sources that several rows are about.
        spare: Number of rows that are about no record.
    """

    rows: dict[int, Row]
    column: str
    twice: frozenset[int] = frozenset()
    spare: int = 0


class Names:
    """The names under which a table may speak of each source.

    Args:
        sources: All records of a dataset.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._places: dict[str, int] = {}
        self._doubtful: set[str] = set()
        self._numbers: dict[str, int] = {}
        self.sources = len(sources)
        for place, source in enumerate(sources):
            names = {_key(source.record_id), _key(source.path)}
            names |= {name.rpartition("/")[2] for name in names}
            for name in names:
                if self._places.setdefault(name, place) != place:
                    self._doubtful.add(name)
            for name in names:
                if name.isdecimal() and self._numbers.setdefault(name.lstrip("0"), place) != place:
                    self._doubtful.add(name.lstrip("0"))

    def find(self, cell: str | None) -> int | None:
        """Return the place of the source that a cell names; None if it names none, or one of several."""
        key = _key(cell or "")
        whole = key if key in self._places else key.rpartition("/")[2]
        if whole in self._places:
            return None if whole in self._doubtful else self._places[whole]
        number = whole.lstrip("0") if whole.isdecimal() else ""
        return None if number in self._doubtful else self._numbers.get(number)


def match_rows(table: Table, sources: Sequence[Source], column: str, *, in_order: bool) -> Match | None:
    """Match the rows of a table with sources.

    Args:
        table: The table.
        sources: All records of the dataset.
        column: Column that names the records; empty to find it.
        in_order: Whether the sources have an order of their own, which the rows of a table may follow.

    Returns:
        The match; None if no column names records.
    """
    names = Names(sources)
    column = column or _best_column(table, names)
    match = _by_name(table, names, column) if column else None
    if match and match.rows:
        return match
    if in_order and len(table.rows) == len(sources):
        return Match(dict(enumerate(table.rows)), "")
    return None


def no_match(table: Table, sources: Sequence[Source], column: str) -> DatasetError:
    """Return the error for a table of which no row is about a record, with examples of both sides."""
    cells = [row[column] for row in table.rows if row.get(column)] if column else []
    shown = ", ".join(repr(str(cell)[:40]) for cell in cells[:_EXAMPLES])
    where = f"column {column} of {table.name} ({len(cells)} ids, such as {shown})" if column else f"{table.name}"
    ids = ", ".join(repr(source.record_id[:40]) for source in sources[:_EXAMPLES])
    return DatasetError(
        f"{where} names none of the {len(sources)} records (such as {ids})",
        remedy="Name the column with the ids, paths or file names of the records: --record-column COLUMN.",
    )


def likely_column(table: Table) -> str:
    """Return the column that is most likely to name records, by its name; empty if there is none."""
    plain = {re.sub("[^a-z0-9]", "", column.lower()): column for column in reversed(table.columns)}
    return next((plain[name] for name in KNOWN["record"] if name in plain), "")


def _by_name(table: Table, names: Names, column: str) -> Match:
    rows: dict[int, Row] = {}
    twice, spare = set(), 0
    for row in table.rows:
        place = names.find(row[column])
        if place is None:
            spare += 1
        elif place in rows:
            twice.add(place)
        else:
            rows[place] = row
    return Match(rows, column, frozenset(twice), spare)


def _best_column(table: Table, names: Names) -> str:
    """Return the first column that names at least half of the records, or records in at least half of its rows.

    Columns with a usual name come first. A column of ages may name a few records by chance, but not so many.
    """
    known = likely_column(table)
    for column in sorted(table.columns, key=lambda column: column != known):
        named = {names.find(row[column]) for row in table.rows} - {None}
        if named and 2 * len(named) >= min(len(table.rows), names.sources):
            return column
    return ""


def _key(name: str) -> str:
    """Return a name without blanks around it, ``./`` before it and a suffix such as ``.dat`` after it."""
    plain = name.strip().replace("\\", "/").removeprefix("./").removesuffix(".0")
    return _SUFFIX.sub("", plain)
