"""Find out how a CSV file of samples is written: its encoding and separator, and what each column holds."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ecgkit.datasets.channels import microvolts_of
from ecgkit.datasets.roles import KNOWN
from ecgkit.datasets.table_files import HEAD, csv_form
from ecgkit.leads import find_lead

_LINES = 1000
_UNIT = re.compile(r"[(\[]([^()\[\]]+)[)\]]")
_TIMES = ("time", "t", "times", "timestamp", "seconds", "sec", "ms", "milliseconds")
_COUNTS = ("", "index", "sample", "samples", "n", "unnamed0", "row")


@dataclass(frozen=True)
class Form:
    """How a CSV file of samples is written.

    Args:
        encoding: Its encoding.
        separator: Its separator.
        has_header: Whether its first line names the columns.
        names: Names of all columns; numbers from 0 where there is no header.
        leads: Names of the columns that are leads, as in the header; empty without a header.
        columns: The columns of samples.
        units: Unit of each of them, from its name; empty where the name gives none.
        record_column: The column that names the record; empty if there is none.
        others: All other columns, except those of times and counts.
        fs: Sampling rate in Hz, from a column of times.
        skipped: Lines to skip: a second header line with units.
        notes: What is unusual: encoding and separator.
        told: What was found, for the user.
    """

    encoding: str
    separator: str
    has_header: bool
    names: tuple[str, ...]
    leads: tuple[str, ...]
    columns: tuple[str, ...]
    units: tuple[str, ...]
    record_column: str
    others: tuple[str, ...]
    fs: float | None
    skipped: tuple[int, ...]
    notes: tuple[str, ...]
    told: str


def find_form(file: Path) -> Form | None:
    """Return how a file of samples is written; None if its rows are no samples of leads."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(HEAD)
        encoding, separator, notes = csv_form(raw, file.name)
    except (OSError, ValueError):
        return None
    lines = raw.decode(encoding, "replace").splitlines()
    whole = lines if len(raw) < HEAD else lines[:-1]  # the last line may be cut
    rows = list(csv.reader(whole[:_LINES], delimiter=separator))
    if not rows:
        return None
    first = tuple(cell.strip() for cell in rows[0])
    if all(map(_is_number, first)) and len(rows) > 1:
        names = tuple(str(place) for place in range(len(first)))
        told = f"{len(names)} columns without names"
        return Form(encoding, separator, False, names, (), names, (), "", (), None, (), notes, told)
    return _with_header(first, rows[1:], (encoding, separator, notes))


def _with_header(names: tuple[str, ...], rows: list[list[str]], how: tuple[str, str, tuple[str, ...]]) -> Form | None:
    encoding, separator, notes = how
    has_units = bool(rows) and any(microvolts_of(cell) for cell in rows[0]) and not any(map(_is_number, rows[0]))
    data = rows[1:] if has_units else rows
    columns = tuple(name for place, name in enumerate(names) if find_lead(name) and _is_numeric(data, place, separator))
    if not columns or len(data) < 2:
        return None
    below = dict(zip(names, rows[0], strict=False)) if has_units else {}
    units = tuple(
        _unit_of(name) or (below.get(name, "") if microvolts_of(below.get(name, "")) else "") for name in columns
    )
    rest = [name for name in names if name not in columns]
    plain = {name: re.sub("[^a-z0-9]", "", _UNIT.sub("", name).lower()) for name in rest}
    record = next((name for known in KNOWN["record"] for name in rest if plain[name] == known), "")
    time = next((name for name in rest if plain[name] in _TIMES), "")
    others = tuple(name for name in rest if name != record and plain[name] not in (*_TIMES, *_COUNTS))
    leads = tuple(_UNIT.sub("", name).strip() for name in columns)
    fs = _rate(time, [row[names.index(time)] for row in data if len(row) == len(names)]) if time else None
    told = f"leads {', '.join(leads)}"
    told += f"; records by column {record}" if record else ""
    told += f"; {fs:g} Hz by column {time}" if fs else ""
    skipped = (1,) if has_units else ()
    return Form(encoding, separator, True, names, leads, columns, units, record, others, fs, skipped, notes, told)


def _unit_of(name: str) -> str:
    match = _UNIT.search(name)
    return match[1] if match and microvolts_of(match[1]) else ""


def _rate(name: str, cells: list[str]) -> float | None:
    """Return the rate from a column of times in s, or in ms if its name says so; None if it does not tell."""
    numbers = [float(cell.replace(",", ".")) for cell in cells if _is_number(cell)]
    if len(numbers) < 3:
        return None
    step = float(np.median(np.diff(numbers[:_LINES])))
    unit = re.search(r"\b(ms|msec|milliseconds)\b", name.lower())
    seconds = step / 1000 if unit else step
    # A step of 0.1 s or more is no ECG's: the column holds ms, or counts.
    return round(1 / seconds, 3) if 0 < seconds < 0.1 else None


def _is_numeric(rows: list[list[str]], place: int, separator: str) -> bool:
    """Return whether most cells of a column are numbers; one odd cell costs its record, not the whole file."""
    cells = [row[place] for row in rows[:_LINES] if place < len(row) and row[place].strip()]
    plain = [cell.replace(",", ".") if separator == ";" else cell for cell in cells]
    return bool(cells) and sum(map(_is_number, plain)) > len(cells) / 2


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
