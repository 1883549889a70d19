"""What a table and the paths of a dataset say of its records: patients, labels, folds, reports, age and sex.

This works for every layout. A layout with a published table of its own is left as it is, unless the user names a table.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ecgkit.datasets.base import FOLDS, RESERVED, Dataset, Source, hashed_fold
from ecgkit.datasets.comments import Comments, parse_age, parse_comments, parse_sex, split_codes
from ecgkit.datasets.matching import Match, Names, likely_column, match_rows, no_match
from ecgkit.datasets.repeats import repeated
from ecgkit.datasets.roles import Roles, check_column, find_roles, is_true
from ecgkit.datasets.spool import Keyed, Spool
from ecgkit.datasets.table_notes import notes_of_folds, notes_of_match
from ecgkit.datasets.tables import SUFFIXES, Row, Table, number, read_table, text
from ecgkit.errors import DatasetError, RecordError

# Words for the parts of a split, and their folds; training records are spread over folds 1 to 8.
_PARTS = {"train": 0, "training": 0, "val": 9, "valid": 9, "validation": 9, "dev": 9, "test": 10, "testing": 10}
_FIRST, _LAST = {"0", "0.0"}, {"10", "10.0"}  # folds count from 0 if the first and not the last is there
_EXAMPLES = 3


def introduce(dataset: Dataset) -> Sequence[Source]:
    """List the records of a dataset, with what its table and its paths say of them. Adds to the dataset's findings.

    Raises:
        DatasetError: The table cannot be read, lacks a column that was named, or names none of the records; or
            something that no record can do without is stated nowhere.
    """
    listed = dataset.sources()
    sources: Sequence[Source] = listed if isinstance(listed, Spool) else list(listed)
    given = dataset.given
    if given.table is not None:
        table = read_table(given.table)
        if given.record_column:
            check_column(table.columns, given.record_column, "--record-column", table.name)
        sources = describe(dataset, sources, table, in_order=dataset.in_order)
    elif dataset.takes_table:
        sources = _described_by_found_table(dataset, sources)
    _check_columns(dataset, sources)
    if given.patient_from:
        sources = _patients_from_paths(dataset, sources)
    dataset.check(sources)
    dataset.findings += notes_of_folds(sources)
    return sources


def _described_by_found_table(dataset: Dataset, sources: Sequence[Source]) -> Sequence[Source]:
    """Use the one table beside the files that names their records, if there is one."""
    found: list[tuple[Table, Match]] = []
    names = None
    for path in tables_beside(dataset.root):
        if path.name in dataset.own_tables or any(source.path == path.name for source in sources):
            continue  # it is read already, or its rows are samples
        try:
            table = read_table(path)
        except DatasetError as error:
            dataset.findings.append(f"not used: {error}")
            continue
        wanted, names = dataset.given.record_column, names or Names(sources)
        is_known = not wanted or wanted in table.columns
        match = match_rows(table, names, wanted, in_order=dataset.in_order) if is_known else None
        if match:
            found.append((table, match))
        else:
            reason = no_match(table, sources, wanted or likely_column(table.columns))
            dataset.findings.append(f"not used: {reason}")
    if len(found) > 1:
        all_ = ", ".join(table.name for table, _ in found)
        dataset.findings.append(f"not used: {all_} all name the records; choose one with --table")
    return _join(dataset, sources, *found[0]) if len(found) == 1 else sources


def tables_beside(root: Path) -> list[Path]:
    """Return the tables in a dataset's folder, or beside a dataset that is one file; not those below it."""
    folder = root if root.is_dir() else root.parent
    return sorted(
        entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and entry != root and entry.is_file()
    )


def describe(dataset: Dataset, sources: Sequence[Source], table: Table, *, in_order: bool) -> Sequence[Source]:
    """Return the sources with what a table says of them. A record that the table lacks cannot be ingested.

    Args:
        dataset: Their dataset, which gets what the user should know of the match as findings.
        sources: All records.
        table: The table.
        in_order: Whether the rows may follow the order of the records.

    Raises:
        DatasetError: The table names none of the records.
    """
    column = dataset.given.record_column if dataset.given.record_column in table.columns else ""
    match = match_rows(table, Names(sources), column, in_order=in_order)
    if match is None:
        raise no_match(table, sources, column or likely_column(table.columns))
    return _join(dataset, sources, table, match)


def _join(dataset: Dataset, sources: Sequence[Source], table: Table, match: Match) -> Sequence[Source]:
    """Return the sources with what their rows say of them; see `describe`."""
    roles = find_roles(table, dataset.given)
    dataset.described_by = table.name
    dataset.columns |= set(table.columns)
    dataset.findings += [*table.notes, *notes_of_match(table, sources, match, roles), *_notes_of_blanks(table, roles)]
    by_order = likely_column(table.columns) if not match.column else ""
    if by_order and repeated(lambda: table.column(by_order)):
        by_order = ""
    reader = _Reader(table, roles, {match.column, by_order})
    about = ((str(place), row) for place, row in zip(match.places, table.rows(), strict=True) if place >= 0)
    rows = Keyed(about, table.columns)
    listed = zip(sources, match.rows >= 0, match.is_twice, strict=True)
    return Spool(
        _introduced(source, rows.get(str(place)) if is_listed else None, is_twice, reader, by_order)
        for place, (source, is_listed, is_twice) in enumerate(listed)
    )


def _notes_of_blanks(table: Table, roles: Roles) -> list[str]:
    """Say that blanks around patient ids are removed, so that " 1" and "1" are one patient; see `Source`."""
    ids = table.column(roles.patient) if roles.patient else ()
    changed = sum(one != one.strip() for one in ids if one)
    return [f"blanks around the patient ids of {changed} records were removed"] if changed else []


def _introduced(source: Source, row: Row | None, is_twice: bool, reader: "_Reader", named_by: str) -> Source:
    if row is None or is_twice:
        reason = "lists it more than once" if is_twice else "does not list it"
        return source if source.problem else replace(source, problem=f"{reader.table.name} {reason}")
    record_id = (row.get(named_by) or "").strip() if named_by else ""
    named = replace(source, record_id=text(record_id) or record_id) if record_id else source
    try:
        return reader.describe(named, row)
    except RecordError as error:
        return named if named.problem else replace(named, problem=f"{reader.table.name}: {error}")


class _Reader:
    """Turns rows of a table into what is known of records.

    Args:
        table: The table.
        roles: Which column holds what.
        keys: Columns that name the records, which are not kept a second time.
    """

    def __init__(self, table: Table, roles: Roles, keys: set[str]) -> None:
        self.table = table
        self.roles = roles
        self._others = [column for column in table.columns if column not in roles.used | keys]
        cells = ((cell or "").strip() for cell in (table.column(roles.fold) if roles.fold else ()))
        ends = {cell for cell in cells if cell in _FIRST | _LAST}
        self._first_fold = 0 if ends and ends <= _FIRST else 1

    def describe(self, source: Source, row: Row) -> Source:
        """Return a source with what its row says; an empty cell changes nothing.

        Raises:
            RecordError: A cell cannot be read.
        """
        roles = self.roles
        patient = text(row.get(roles.patient)) or source.patient_id
        kept = {f"table_{name}" if name in RESERVED else name: text(row[name]) for name in self._others}
        age = row.get(roles.age)
        sex = row.get(roles.sex)
        if age and parse_age(age) is None:
            kept[f"table_{roles.age}"] = age
        if sex and not parse_sex(sex):
            kept[f"table_{roles.sex}"] = sex
        return replace(
            source,
            patient_id=patient,
            labels=self._labels(row) if roles.labels else source.labels,
            report=row.get(roles.report) or source.report,
            age=parse_age(age) if age else source.age,
            sex=(parse_sex(sex) if sex else None) or source.sex,
            fs=number(row, roles.fs) or source.fs,
            unit=row.get(roles.unit) or source.unit,
            fold=self._fold(row, (patient or source.record_id).strip()) or source.fold,
            extra={**source.extra, **kept},
        )

    def _labels(self, row: Row) -> tuple[str, ...]:
        labels: dict[str, None] = {}
        for column in self.roles.labels:
            if column in self.roles.indicators:
                labels |= {column: None} if is_true(row[column]) else {}
            else:
                labels |= dict.fromkeys(codes_of(row[column] or ""))
        return tuple(labels)

    def _fold(self, row: Row, key: str) -> int | None:
        cell = (row.get(self.roles.fold) or "").strip().lower()
        if cell in _PARTS:
            return _PARTS[cell] or (hashed_fold(key) - 1) % 8 + 1
        if not cell:
            return None
        whole = cell.removesuffix(".0")
        fold = int(whole) + 1 - self._first_fold if whole.isascii() and whole.isdecimal() else 0
        if not 1 <= fold <= FOLDS:
            raise RecordError(
                f"column {self.roles.fold} holds {cell[:20]!r}",
                f"a whole number from 1 to {FOLDS}, or train, val or test",
            )
        return fold


def codes_of(cell: str) -> list[str]:
    """Return the codes in a cell: a list as Python or JSON writes it, the keys of a dictionary, or a separated list."""
    inner = cell.strip()
    if inner[:1] + inner[-1:] in ("[]", "{}", "()"):
        quoted = re.findall(r"""'([^']*)'|"([^"]*)\"""", inner)
        if quoted:
            return [first or second for first, second in quoted if first or second]
        inner = inner[1:-1]
    return split_codes(inner)


def _patients_from_paths(dataset: Dataset, sources: Sequence[Source]) -> Sequence[Source]:
    """Take each patient's id from the record's path.

    Raises:
        DatasetError: No path matches.
    """
    pattern = re.compile(dataset.given.patient_from)

    def found(source: Source) -> str | None:
        match = pattern.search(source.path)
        return match[1] if match else None

    known = Counter(filter(None, map(found, sources)))
    if not known:
        examples = ", ".join(repr(source.path[:60]) for source in sources[:_EXAMPLES])
        raise DatasetError(
            f"--patient-from {dataset.given.patient_from!r} matches none of the paths (such as {examples})"
        )
    left = len(sources) - known.total()
    told = f"patients: {len(known)} from the paths of {known.total()} records"
    dataset.findings.append(told + (f"; {left} paths do not match" if left else ""))
    return Spool(replace(source, patient_id=found(source) or source.patient_id) for source in sources)


def _check_columns(dataset: Dataset, sources: Sequence[Source]) -> None:
    """Refuse a column that the user names and no table has. Without a table, columns are comments of the headers.

    Raises:
        DatasetError: Neither has it; comments are looked for in the first header that can be read.
    """
    given = dataset.given
    wanted = [*given.table_columns.items(), *(("--label-columns", column) for column in given.label_columns)]
    if dataset.columns:
        for option, column in wanted:
            check_column(sorted(dataset.columns), column, option, dataset.described_by)
    elif wanted and sources:
        comments = _first_comments(dataset, sources)
        for option, column in wanted:
            if option in ("--record-column", "--fold-column") or comments.find(column) is None:
                raise _no_column(dataset, option, column, comments)


def _no_column(dataset: Dataset, option: str, column: str, comments: Comments) -> DatasetError:
    """Return the error for a column that was named and is nowhere; a table that fits no record may be the cause."""
    unused = [line.removeprefix("not used: ") for line in dataset.findings if line.startswith("not used: ")]
    if unused:
        return DatasetError(f"{option} {column}: {unused[0]}")
    return DatasetError(
        f"{option} {column}: no table was found, and the headers have no such comment",
        f"one of their comments ({', '.join(comments.columns) or 'none'}), or a table",
        "Name the table with --table.",
    )


def _first_comments(dataset: Dataset, sources: Sequence[Source]) -> Comments:
    for source in sources:
        if not source.problem:
            try:
                return parse_comments(dataset.header(source).comments)
            except RecordError:
                continue
    return parse_comments(())
