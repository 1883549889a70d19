"""What the user should know of a table of records: what matches, what is left over, and what cannot be right."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from ecgkit.datasets.base import Source
from ecgkit.datasets.comments import UNKNOWN, parse_age
from ecgkit.datasets.matching import Match
from ecgkit.datasets.roles import Roles, indicators_in
from ecgkit.datasets.tables import Table
from ecgkit.wording import plural

_EXAMPLES = 3
_MOST_NAMED = 12


def notes_of_match(table: Table, sources: Sequence[Source], match: Match, roles: Roles) -> list[str]:
    """Return what the user should know of the match of a table with the records."""
    how = f"by column {match.column}" if match.column else "in the order of the records"
    lines = [f"table {table.name}: {match.found} of {len(sources)} records, {how}"]
    if str(roles):
        lines.append(f"  {roles}")
    if not roles.labels and (yes_or_no := indicators_in(table, roles.used)):
        shown = ",".join(yes_or_no[:_MOST_NAMED]) + (",..." if len(yes_or_no) > _MOST_NAMED else "")
        lines.append(f"  columns of 0 and 1 become labels with --label-columns {shown}")
    if roles.age and (strange := sum(1 for _ in _strange_ages(table, match, roles.age))):
        cells = _strange_ages(table, match, roles.age)
        lines.append(f"  {plural(strange, 'cell')} of column {roles.age} without an age: {some(cells)}")
    if lacking := match.sources - match.found:
        ids = (source.record_id for source, row in zip(sources, match.rows, strict=True) if row < 0)
        lines.append(f"  {plural(lacking, 'record')} without a row: {some(ids)}")
    if match.spare:
        pairs = zip(table.column(match.column), match.places, strict=True)
        spare = (str(cell) for cell, place in pairs if place < 0)
        lines.append(f"  {plural(match.spare, 'row')} without a record: {some(spare)}")
    return lines


def _strange_ages(table: Table, match: Match, column: str) -> Iterator[str]:
    """Yield the cells of a column of ages that tell neither an age nor that it is unknown; one cell per record."""
    for cell, is_first in zip(table.column(column), match.is_first, strict=True):
        if is_first and cell and cell.strip().lower() not in UNKNOWN and parse_age(cell) is None:
            yield cell


def notes_of_folds(sources: Sequence[Source]) -> list[str]:
    """Return a warning if the published folds part the records of a patient."""

    def known() -> Iterator[tuple[str, int]]:
        return ((source.patient_id, source.fold) for source in sources if source.patient_id and source.fold)

    pairs = np.fromiter(((hash(patient), fold) for patient, fold in known()), "i8,i1")  # 9 bytes per record
    patients = np.unique(pairs)["f0"]  # each as often as it has folds
    suspect = set(patients[1:][patients[1:] == patients[:-1]].tolist())
    folds: dict[str, set[int]] = {}
    for patient, fold in known() if suspect else ():
        if hash(patient) in suspect:
            folds.setdefault(patient, set()).add(fold)
    parted = [patient for patient, found in folds.items() if len(found) > 1]
    if not parted:
        return []
    whose = plural(len(parted), "patient")
    return [
        f"records of {whose} are in more than one fold, as the dataset states it: {some(parted)}; "
        "a test on them is not held-out"
    ]


def some(names: Iterable[str]) -> str:
    """Return the first few names, as one text."""
    first = [name[:40] for name in islice(names, _EXAMPLES + 1)]
    return ", ".join(first[:_EXAMPLES]) + (" ..." if len(first) > _EXAMPLES else "")
