"""What the user should know of a table of records: what matches, what is left over, and what cannot be right."""

from collections.abc import Iterator, Sequence

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
    lines = [f"table {table.name}: {len(match.rows)} of {len(sources)} records, {how}"]
    if str(roles):
        lines.append(f"  {roles}")
    if not roles.labels and (yes_or_no := indicators_in(table, roles.used)):
        shown = ",".join(yes_or_no[:_MOST_NAMED]) + (",..." if len(yes_or_no) > _MOST_NAMED else "")
        lines.append(f"  columns of 0 and 1 become labels with --label-columns {shown}")
    ages = [row.get(roles.age) or "" for row in match.rows.values()] if roles.age else []
    strange = [cell for cell in ages if cell.strip().lower() not in UNKNOWN and parse_age(cell) is None]
    if strange:
        lines.append(f"  {plural(len(strange), 'cell')} of column {roles.age} without an age: {some(strange)}")
    lacking = [source.record_id for place, source in enumerate(sources) if place not in match.rows]
    if lacking:
        lines.append(f"  {plural(len(lacking), 'record')} without a row: {some(lacking)}")
    if match.spare:
        ids = [str(row[match.column]) for row in table.rows]
        named = {str(row[match.column]) for row in match.rows.values()}
        lines.append(f"  {plural(match.spare, 'row')} without a record: {some([i for i in ids if i not in named])}")
    return lines


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


def some(names: Sequence[str]) -> str:
    """Return the first few names, as one text."""
    shown = ", ".join(name[:40] for name in names[:_EXAMPLES])
    return f"{shown} ..." if len(names) > _EXAMPLES else shown
