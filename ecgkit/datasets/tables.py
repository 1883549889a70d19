"""Read the tables of datasets: CSV, TSV, Parquet and Excel. Every cell is read as text.

A missing or unreadable table gives one clear error. Encoding and separator of a CSV file are found by looking, and are
named in the table's notes if they are not UTF-8 and comma.
"""

import codecs
import csv
import gzip
import io
import math
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ecgkit.datasets.base import Source
from ecgkit.datasets.paths import is_local
from ecgkit.datasets.spool import Spool
from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError, EcgkitError, RecordError
from ecgkit.parquet import as_frame

Row = dict[str, Any]

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx")
# Workbooks and .gz files are compressed; unpacked, they may not be larger than this, in bytes.
LARGEST_WORKBOOK = 1 << 30
LARGEST_CSV = 4 << 30
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*")
_LOOKED_AT = 20
_ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class Table:
    """A table of a dataset.

    Args:
        name: Name of the file.
        columns: Names of its columns.
        rows: One mapping per row, with the text of every cell, or None for an empty cell.
        notes: How it was read, where that is unusual, such as its encoding.
    """

    name: str
    columns: tuple[str, ...]
    rows: list[Row]
    notes: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """Read a table of any known kind.

    No type is guessed: one odd cell must not change how its whole column is read, and ids must keep every digit.

    Raises:
        DatasetError: The file is missing, is not a table of its kind, or needs a package that is not installed.
    """
    try:
        frame, notes = _frame(path)
        columns, rows = _plain_rows(frame)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist; the dataset needs this table") from None
    except EcgkitError:
        raise
    except Exception as error:  # pandas, pyarrow and openpyxl have many
        raise _unreadable(path, error) from None
    return Table(path.name, columns, rows, notes)


def _unreadable(path: Path, error: Exception) -> DatasetError:
    kind = path.suffix.lstrip(".").upper() or "CSV"
    return DatasetError(f"{path} cannot be read as a {kind} table ({' '.join(str(error).split())[:160]})")


def _plain_rows(frame: pd.DataFrame) -> tuple[tuple[str, ...], list[Row]]:
    """Return the columns and rows of a frame of texts."""
    if not isinstance(frame.index, pd.RangeIndex):  # pandas then takes the first columns as an index
        raise ValueError("the rows have more cells than the header has names")
    frame = frame.astype(object).where(frame.notna(), None)
    frame.columns = [str(name).strip() for name in frame.columns]
    return tuple(frame.columns), frame.to_dict("records")  # type: ignore[return-value]


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a table that must have some columns.

    Args:
        path: The file.
        columns: Required columns.

    Raises:
        DatasetError: See `read_table`; or the table lacks a column.
    """
    return _checked(read_table(path), path, columns)


def _checked(table: Table, path: Path, columns: Sequence[str]) -> list[Row]:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise DatasetError(f"{path} lacks column {', '.join(missing)}")
    return table.rows


def stream_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of `read_rows`. Of a CSV file in UTF-8 with commas only some are in memory at a time.

    Raises:
        DatasetError: See `read_rows`.
    """
    if not _is_plain_csv(path):
        yield from read_rows(path, columns)
        return
    try:
        with pd.read_csv(path, dtype=str, encoding="utf-8-sig", chunksize=_ROWS_AT_A_TIME) as frames:
            for frame in frames:
                yield from _checked(Table(path.name, *_plain_rows(frame)), path, columns)
    except EcgkitError:
        raise
    except Exception as error:  # pandas has many
        raise _unreadable(path, error) from None


def _is_plain_csv(path: Path) -> bool:
    """Return whether a file of this machine is a CSV file in UTF-8 with commas, and has rows."""
    if path.suffix.lower() != ".csv" or not is_local(path) or not path.is_file():
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        lines = file.read(1 << 16).decode("utf-8", "replace").splitlines()
        file.seek(0)
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return False
    return len(lines) > 2 and "\0" not in "".join(lines) and _separator(lines[:-1]) == ","


def _frame(path: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    match path.suffix.lower():
        case ".parquet":
            return _parquet(path), ()
        case ".xlsx":
            return _workbook(path), ()
    if path.suffix != ".gz":
        return _read_csv(path.read_bytes(), path.name)
    with gzip.open(path) as file:
        raw = file.read(LARGEST_CSV + 1)
    if len(raw) > LARGEST_CSV:
        raise DatasetError(
            f"{path} unpacks to more than {LARGEST_CSV} bytes", remedy="Unpack it, or give a part of it."
        )
    return _read_csv(raw, path.name)


def _read_csv(raw: bytes, name: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    encoding, separator, notes = csv_form(raw, name)
    frame = pd.read_csv(io.BytesIO(raw), dtype=str, encoding=encoding, sep=separator)
    if separator == ";":  # where the comma separates decimals
        frame = frame.map(lambda cell: cell.replace(",", ".") if _is_decimal(cell) else cell)
    return frame, notes


def csv_form(raw: bytes, name: str) -> tuple[str, str, tuple[str, ...]]:
    """Return encoding and separator of a CSV file, and a note for each that is not UTF-8 or comma.

    Raises:
        ValueError: The file is empty, or is not a text.
    """
    encoding, notes = _encoding(raw), []
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"{name} is read as {encoding}, since it is not UTF-8")
    head = raw[: 1 << 16].decode(encoding, "replace")
    if not head.strip():
        raise ValueError("the file is empty")
    if "\0" in head:
        raise ValueError("the file is not a text")
    lines = head.splitlines()
    separator = _separator(lines[:-1] if len(raw) > 1 << 16 else lines)
    if separator != ",":
        notes.append(f"{name} is separated by {_SEPARATORS[separator]}")
    return encoding, separator, tuple(notes)


def _encoding(raw: bytes) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        try:
            raw.decode("cp1252")
        except UnicodeDecodeError:
            return "latin-1"
        return "cp1252"
    return "utf-8"


def _separator(lines: Sequence[str]) -> str:
    """Return the separator with which the first lines have equal numbers of columns, and most of them."""

    def score(separator: str) -> tuple[bool, int]:
        widths = {len(row) for row in csv.reader(lines[:_LOOKED_AT], delimiter=separator) if row}
        return len(widths) == 1 and widths != {1}, min(widths, default=0)

    return max(_SEPARATORS, key=score)


def _is_decimal(cell: Any) -> bool:
    return isinstance(cell, str) and bool(_DECIMAL_COMMA.fullmatch(cell))


def _parquet(path: Path) -> pd.DataFrame:
    """Return the columns of a Parquet file that are no lists of numbers, as texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        names = [field.name for field in file.schema_arrow if not _is_signal(field.type, pa.types)]
        frame = as_frame(file.read(columns=names))
    return frame.map(_as_text)


def parquet_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """Return some columns of a Parquet file, with the text of every cell, or None for an empty one."""
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        frame = as_frame(pq.ParquetFile(stream).read(columns=list(columns))).map(_as_text)
    return cast(list[Row], frame.astype(object).where(frame.notna(), None).to_dict("records"))


def _is_signal(kind: Any, types: Any) -> bool:
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return bool(
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type) or types.is_nested(kind.value_type)
    )


def _as_text(cell: Any) -> str | None:
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, list | tuple):
        return "; ".join(str(item) for item in cell)
    if cell is None or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _workbook(path: Path) -> pd.DataFrame:
    """Return the first sheet of an Excel workbook."""
    if find_spec("openpyxl") is None:
        raise DatasetError(f"{path} needs the package openpyxl, which is not installed", remedy=install_extra("xlsx"))
    raw = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST_WORKBOOK:
        raise DatasetError(f"{path} unpacks to {size} bytes", f"at most {LARGEST_WORKBOOK}", "Save it as CSV.")
    return pd.read_excel(io.BytesIO(raw), dtype=str, engine="openpyxl")


def sources_of(rows: Iterable[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> Spool[Source]:
    """Return the sources of `each_source`, kept on disk."""
    return Spool(each_source(rows, read, record_id=record_id, path=path))


def each_source(rows: Iterable[Row], read: Callable[[Row], Source], *, record_id: str, path: str) -> Iterator[Source]:
    """Turn rows into sources, one by one. A row that cannot be read becomes a source with the problem.

    Args:
        rows: The rows, as `read_rows` returns them.
        read: Makes a source from a row, or raises `RecordError`.
        record_id: Column of record ids.
        path: Column of record paths.
    """
    for row in rows:
        try:
            yield read(row)
        except RecordError as error:
            yield Source(record_id=text(row[record_id]) or "", path=text(row[path]) or "", problem=str(error))


def text(cell: str | None) -> str | None:
    """Return a cell's text; None for an empty one. A whole number loses the ``.0`` of a float column."""
    whole = re.fullmatch(r"(-?\d+)\.0", cell or "")
    return whole[1] if whole else cell


def number(row: Mapping[str, Any], column: str) -> float | None:
    """Return a row's number; None for an empty or missing cell.

    Raises:
        RecordError: The cell is not a number.
    """
    cell = text(row.get(column))
    try:
        value = float(cell) if cell and cell.strip() else None
    except ValueError:
        value = math.nan
    if value is not None and not math.isfinite(value):
        raise RecordError(f"column {column} holds {str(cell)[:40]!r}", "a number, or an empty cell")
    return value
