"""Read the files of tables in blocks of rows: CSV, TSV, Parquet and Excel. Every cell is read as text.

No type is guessed: one odd cell must not change how its whole column is read, and ids must keep every digit. Encoding
and separator of a CSV file are found by looking, and are named in the notes if they are not UTF-8 and comma. A workbook
is read whole; of the other files only some rows are in memory at a time.
"""

import codecs
import csv
import gzip
import io
import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd

from ecgkit.datasets.paths import is_local
from ecgkit.distribution import install_extra
from ecgkit.errors import DatasetError, EcgkitError

# Workbooks and .gz files are compressed; unpacked, they may not be larger than this, in bytes.
LARGEST_WORKBOOK = 1 << 30
LARGEST_CSV = 4 << 30
HEAD = 1 << 16
CELLS_AT_A_TIME = 1 << 15
FEWEST_ROWS = 256
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_DECIMAL_COMMA = re.compile(r"\s*-?\d+,\d+\s*")
_LOOKED_AT = 20


class Block(NamedTuple):
    """Some rows of a table, column by column.

    Args:
        columns: Names of the columns.
        cells: The cells of each column: their text, or None for an empty cell.
        notes: How the file is read, where that is unusual, such as its encoding.
    """

    columns: tuple[str, ...]
    cells: Sequence[Sequence[str | None]]
    notes: tuple[str, ...] = ()


def table_blocks(path: Path) -> Iterator[Block]:
    """Yield the rows of a table of any known kind in blocks: at least one, which may be empty.

    Raises:
        DatasetError: The file is missing, is not a table of its kind, or needs a package that is not installed.
    """
    readers = {".parquet": _parquet, ".xlsx": _workbook}
    try:
        yield from readers.get(path.suffix.lower(), _csv)(path)
    except FileNotFoundError:
        raise DatasetError(f"{path} does not exist; the dataset needs this table") from None
    except EcgkitError:
        raise
    except Exception as error:  # pandas, pyarrow and openpyxl have many
        kind, cause = path.suffix.lstrip(".").upper() or "CSV", " ".join(str(error).split())[:160]
        raise DatasetError(f"{path} cannot be read as a {kind} table ({cause})") from None


def rows_at_a_time(columns: int) -> int:
    """Return the number of rows of a block, given the number of columns."""
    return max(FEWEST_ROWS, CELLS_AT_A_TIME // max(1, columns))


def _block(frame: pd.DataFrame, notes: tuple[str, ...] = ()) -> Block:
    """Return the rows of a frame of texts."""
    if not isinstance(frame.index, pd.RangeIndex):  # pandas then takes the first columns as an index
        raise ValueError("the rows have more cells than the header has names")
    frame = frame.astype(object).where(frame.notna(), None)
    return Block(_plain(frame.columns), [frame.iloc[:, at].tolist() for at in range(frame.shape[1])], notes)


def _plain(names: Iterable[Any]) -> tuple[str, ...]:
    return tuple(str(name).strip() for name in names)


def _csv(path: Path) -> Iterator[Block]:
    with _on_disk(path) as file:
        encoding, separator, notes = csv_form(file.read(HEAD), path.name, iter(lambda: file.read(HEAD), b""))
        file.seek(0)
        width = file.readline(HEAD).count(separator.encode()) + 1
        file.seek(0)
        size = rows_at_a_time(width)
        with pd.read_csv(file, dtype=str, encoding=encoding, sep=separator, chunksize=size) as frames:
            for frame in frames:
                if separator == ";":  # where the comma separates decimals
                    frame = frame.map(lambda cell: cell.replace(",", ".") if _is_decimal(cell) else cell)
                yield _block(frame, notes)


@contextmanager
def _on_disk(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that may be read twice: one that is packed, or not on this machine, is first copied.

    Raises:
        DatasetError: A ``.gz`` file unpacks to too much.
    """
    if is_local(path) and path.suffix != ".gz":
        with path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy, path.open("rb") as raw:
        if path.suffix == ".gz":
            _unpack(path, raw, copy)
        else:
            shutil.copyfileobj(raw, copy)
        copy.seek(0)
        yield copy


def _unpack(path: Path, packed: IO[bytes], out: IO[bytes]) -> None:
    with gzip.GzipFile(fileobj=packed) as raw:
        while piece := raw.read(HEAD):
            out.write(piece)
            if out.tell() > LARGEST_CSV:
                raise DatasetError(
                    f"{path} unpacks to more than {LARGEST_CSV} bytes", remedy="Unpack it, or give a part of it."
                )


def csv_form(head: bytes, name: str, rest: Iterable[bytes] | None = None) -> tuple[str, str, tuple[str, ...]]:
    """Return encoding and separator of a CSV file, and a note for each that is not UTF-8 or comma.

    Args:
        head: The first `HEAD` bytes of the file, or all of a shorter one.
        name: Name of the file.
        rest: The bytes that follow; None to judge by the head alone.

    Raises:
        ValueError: The file is empty, or is not a text.
    """
    is_cut = len(head) >= HEAD
    encoding, notes = _encoding(chain([head], rest or ()), is_whole=rest is not None or not is_cut), []
    if encoding not in ("utf-8", "utf-8-sig"):
        notes.append(f"{name} is read as {encoding}, since it is not UTF-8")
    text = head.decode(encoding, "replace")
    if not text.strip():
        raise ValueError("the file is empty")
    if "\0" in text:
        raise ValueError("the file is not a text")
    lines = text.splitlines()
    separator = _separator(lines[:-1] if is_cut else lines)
    if separator != ",":
        notes.append(f"{name} is separated by {_SEPARATORS[separator]}")
    return encoding, separator, tuple(notes)


def _encoding(pieces: Iterator[bytes], *, is_whole: bool) -> str:
    """Return the encoding of a text. If it is cut, it may end within a character."""
    first = next(pieces)
    if first.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    possible = {name: codecs.getincrementaldecoder(name)() for name in ("utf-8", "cp1252")}
    for piece, is_last in chain(((piece, False) for piece in chain([first], pieces)), [(b"", is_whole)]):
        for name, decoder in tuple(possible.items()):
            try:
                decoder.decode(piece, is_last)
            except UnicodeDecodeError:
                del possible[name]
    return next(iter(possible), "latin-1")


def _separator(lines: Sequence[str]) -> str:
    """Return the separator with which the first lines have equal numbers of columns, and most of them."""

    def score(separator: str) -> tuple[bool, int]:
        widths = {len(row) for row in csv.reader(lines[:_LOOKED_AT], delimiter=separator) if row}
        return len(widths) == 1 and widths != {1}, min(widths, default=0)

    return max(_SEPARATORS, key=score)


def _is_decimal(cell: Any) -> bool:
    return isinstance(cell, str) and bool(_DECIMAL_COMMA.fullmatch(cell))


def _parquet(path: Path) -> Iterator[Block]:
    """Yield the columns of a Parquet file that are no lists of numbers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as stream:
        schema = pq.read_schema(stream)
    yield from parquet_blocks(path, [field.name for field in schema if not _is_signal(field.type, pa.types)])


def parquet_blocks(path: Path, columns: Sequence[str]) -> Iterator[Block]:
    """Yield some columns of a Parquet file in blocks: at least one, which may be empty."""
    import pyarrow.parquet as pq

    names = _plain(columns)
    with path.open("rb") as stream:
        file = pq.ParquetFile(stream)
        yield Block(names, [[] for _ in names])
        for batch in file.iter_batches(rows_at_a_time(len(names)), columns=list(columns), use_threads=False):
            yield Block(names, [[_as_text(cell) for cell in batch[name].to_pylist()] for name in columns])


def _is_signal(kind: Any, types: Any) -> bool:
    if not (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
        return False
    return bool(
        types.is_floating(kind.value_type) or types.is_integer(kind.value_type) or types.is_nested(kind.value_type)
    )


def _as_text(cell: Any) -> str | None:
    if isinstance(cell, list):
        return "; ".join(str(item) for item in cell)
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _workbook(path: Path) -> Iterator[Block]:
    """Yield the first sheet of an Excel workbook."""
    if find_spec("openpyxl") is None:
        raise DatasetError(f"{path} needs the package openpyxl, which is not installed", remedy=install_extra("xlsx"))
    raw = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST_WORKBOOK:
        raise DatasetError(f"{path} unpacks to {size} bytes", f"at most {LARGEST_WORKBOOK}", "Save it as CSV.")
    yield _block(pd.read_excel(io.BytesIO(raw), dtype=str, engine="openpyxl"))
