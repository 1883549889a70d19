"""Find out how a table with one row per record keeps its samples: in numbered columns, or in columns of lists.

Numbered columns are ``I_0 I_1 ... V6_4999`` (lead and sample), or ``0 1 2 ...``, ``t0 t1 ...`` (one lead). A column of
lists holds all samples of a lead, such as ``V1``, or all leads of a record.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgkit.datasets.table_files import HEAD, csv_form
from ecgkit.leads import find_lead

# A table has fewer numbered columns, such as report_0 to report_17, if they are no samples.
FEWEST_SAMPLES = 50
_LONGEST_LINE = 1 << 26
_OF_LEAD = re.compile(r"(.+?)[_\-. :](\d+)")
_OF_RECORD = re.compile(r"(\D*?)(\d+)")


@dataclass(frozen=True)
class RowForm:
    """How a table with one row per record is written.

    Args:
        names: Names of all columns.
        leads: Names of the leads; empty where the table does not name them.
        columns: For each lead, its columns of samples in order, or its one column of lists.
        is_list: Whether the columns hold lists.
        others: All other columns.
        encoding: Encoding of a CSV file.
        separator: Separator of a CSV file.
        has_header: Whether the first line names the columns.
        notes: What is unusual.
    """

    names: tuple[str, ...]
    leads: tuple[str, ...]
    columns: tuple[tuple[str, ...], ...]
    is_list: bool
    others: tuple[str, ...]
    encoding: str = ""
    separator: str = ","
    has_header: bool = True
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The form in words."""
        what = f"leads {', '.join(self.leads)}" if self.leads else "leads without names"
        how = "lists" if self.is_list else f"{len(self.columns[0])} columns each"
        return f"one row per record; {what}, as {how}"


def find_row_form(file: Path) -> RowForm | None:
    """Return how a table of records with samples is written; None if its rows are no records with samples."""
    return _of_parquet(file) if file.suffix.lower() == ".parquet" else _of_csv(file)


def _of_parquet(file: Path) -> RowForm | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with file.open("rb") as stream:
            schema = pq.read_schema(stream)
    except (OSError, pa.ArrowException):
        return None
    numbers = {field.name: _depth(field.type, pa.types) for field in schema}
    lists = [name for name, depth in numbers.items() if depth == 1]
    leads = [name for name in lists if find_lead(name)]
    whole = [name for name, depth in numbers.items() if depth == 2]
    chosen = leads or whole[:1] or (lists if len(lists) == 1 else [])
    if chosen:
        others = tuple(name for name in schema.names if name not in chosen and not numbers[name])
        return RowForm(tuple(schema.names), tuple(leads), tuple((name,) for name in chosen), True, others)
    return _numbered(tuple(schema.names))


def _depth(kind: Any, types: Any) -> int:
    """Return 1 for a list of numbers, 2 for a list of such lists, 0 for anything else."""
    depth = 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if types.is_integer(kind) or types.is_floating(kind) else 0


def _of_csv(file: Path) -> RowForm | None:
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD)
            encoding, separator, notes = csv_form(head, file.name)
            stream.seek(0)
            line = stream.readline(_LONGEST_LINE).decode(encoding).strip("\r\n")
    except (OSError, ValueError):
        return None
    names = tuple(cell.strip() for cell in next(csv.reader([line], delimiter=separator), []))
    if encoding == "utf-16":
        return None
    how: dict[str, Any] = {"encoding": encoding, "separator": separator, "notes": notes}
    if len(names) >= FEWEST_SAMPLES and all(map(_is_number, names)) and names != tuple(map(str, range(len(names)))):
        numbers = tuple(map(str, range(len(names))))
        return RowForm(numbers, (), (numbers,), False, (), has_header=False, **how)
    return _numbered(names, **how)


def _numbered(names: tuple[str, ...], **how: Any) -> RowForm | None:
    """Return the form of a table with numbered columns of samples, if there are some."""
    for pattern, is_lead in ((_OF_LEAD, True), (_OF_RECORD, False)):
        groups: dict[str, list[tuple[int, str]]] = {}
        for name in names:
            match = pattern.fullmatch(name)
            if match and (not is_lead or find_lead(match[1])):
                groups.setdefault(match[1], []).append((int(match[2]), name))
        series = {group: columns for group, found in groups.items() if (columns := _series(found))}
        if len({len(columns) for columns in series.values()}) != 1 or (not is_lead and len(series) != 1):
            continue
        samples = {name for columns in series.values() for name in columns}
        others = tuple(name for name in names if name not in samples)
        leads = tuple(series) if is_lead else ()
        return RowForm(names, leads, tuple(series.values()), False, others, **how)
    return None


def _series(found: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    """Return the columns in the order of their numbers if these are all from 0 or 1 on; nothing otherwise."""
    ordered = sorted(found)
    numbers = [number for number, _ in ordered]
    first = numbers[0]
    is_whole = first in (0, 1) and numbers == list(range(first, first + len(numbers)))
    return tuple(name for _, name in ordered) if is_whole and len(numbers) >= FEWEST_SAMPLES else ()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def csv_rows(file: Path, form: RowForm) -> Iterator[tuple[int, list[str]]]:
    """Yield the place in the file and the cells of each record of a CSV file."""
    with file.open("rb") as stream:
        at = len(stream.readline(_LONGEST_LINE)) if form.has_header else 0
        while line := stream.readline(_LONGEST_LINE):
            if line.strip():
                yield at, cells_of(line, form)
            at += len(line)


def cells_of(line: bytes, form: RowForm) -> list[str]:
    """Return the cells of a line."""
    return next(csv.reader([line.decode(form.encoding, "replace").strip("\r\n")], delimiter=form.separator), [])
