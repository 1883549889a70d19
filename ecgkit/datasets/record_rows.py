"""Tables with one row per record that hold the samples too: Parquet and CSV files.

`ecgkit.datasets.row_form` says what such tables look like. Their other columns describe the records.
"""

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ecgkit.datasets.arrays import stem
from ecgkit.datasets.axes import find_axes
from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.channels import Naming, amplitudes, find_rows
from ecgkit.datasets.header import Header
from ecgkit.datasets.missing import Stated, ask_for_missing
from ecgkit.datasets.parquet_rows import read_lists, read_numbers
from ecgkit.datasets.paths import check_inside, read_range, size_and_time, stamp_of
from ecgkit.datasets.people import describe
from ecgkit.datasets.row_form import RowForm, cells_of, csv_rows, find_row_form
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.stacked import largest_value
from ecgkit.datasets.table_files import Block, parquet_blocks, rows_at_a_time
from ecgkit.datasets.tables import Table
from ecgkit.datasets.walk import walk_for
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import DatasetError, RecordError
from ecgkit.recording import Recording

SUFFIXES = (".parquet", ".csv", ".tsv")
_LOOKED_AT = 20
_LONGEST_ROW = 1 << 28


class RecordRows(Dataset):
    """A folder of tables with one row per record and its samples, or one such file."""

    name = "rows"
    code_system = "table"
    takes_table = True
    takes_file = True

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether one of the first tables holds samples."""
        folder = root if root.is_dir() else root.parent
        return any(_form(folder, path) for path in walk_for(root, _is_table, SUFFIXES)[0][:_LOOKED_AT])

    @property
    def folder(self) -> Path:
        """The folder to which paths are relative."""
        return self.root if self.root.is_dir() else self.root.parent

    def sources(self) -> Sequence[Source]:
        """List the rows of all tables that hold samples, with what their other columns say."""
        files, self.not_entered = walk_for(self.root, _is_table, SUFFIXES)
        return Spool(self._each(files))

    def _each(self, files: Sequence[str]) -> Iterator[Source]:
        for path in files:
            form = _form(self.folder, path)
            if form is None:
                continue
            self.findings += [*form.notes, f"{path}: {form.told}"]
            try:
                with one_error(path, "a table with one row per record"):
                    found = self._records(path, form)
            except (RecordError, DatasetError) as error:
                found = [Source(record_id=stem(path), path=path, problem=str(error))]
            yield from found

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse samples of which nobody states the rate, the leads or the unit.

        Raises:
            DatasetError: The options that state what is missing.
        """
        for source in sources:
            if source.problem:
                continue
            try:
                with one_error(source.path, "a table with one row per record"):
                    form, samples = self._form_of(source), self._samples(source)
            except RecordError:  # goes to the ledger when its header is read
                continue
            ask_for_missing(source.path, self._stated(source, form), len(samples), partial(largest_value, samples))
            return

    def header(self, source: Source) -> Header:
        """Return the header of a record: its number of samples, and what is stated of its leads."""
        with one_error(source.path, "a table with one row per record"):
            form, samples = self._form_of(source), self._samples(source)
            fs, names, unit = self._stated(source, form).complete(source.path)
            if len(names) != len(samples):
                raise RecordError(f"the record has {len(samples)} leads, but {len(names)} are named")
            rows = find_rows(names, [unit] * len(names), Naming(renames=self.given.naming.renames))
            stamp = str(size_and_time(self.folder, source.path))
        length = samples.shape[1]
        return Header(fs, length, rows.leads, rows.unit, rows.source_leads, rows.other, layout=rows, stamp=stamp)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        with one_error(source.path, "a table with one row per record"):
            samples = self._samples(source)
            return recording_of(amplitudes(header.layout.pick(samples), header.layout), header, source.record_id)

    def _records(self, path: str, form: RowForm) -> Sequence[Source]:
        check_inside(self.folder, path)
        table, places = _described(self.folder / path, path, form)
        sources = Spool(
            Source(record_id=f"{stem(path)}[{n}]", path=path, extra={"table_row": place})
            for n, place in enumerate(places)
        )
        return describe(self, sources, table, in_order=True) if table.columns and places else sources

    def _form_of(self, source: Source) -> RowForm:
        check_inside(self.folder, source.path)
        form = _form(self.folder, source.path)
        if form is None:
            raise RecordError(f"{source.path} holds no columns of samples")
        return form

    def _stated(self, source: Source, form: RowForm) -> Stated:
        return Stated(
            fs=source.fs or self.given.source_fs or self.fs,
            leads=self.given.naming.order or form.leads or self.given.leads,
            unit=source.unit or self.given.unit,
        )

    def _samples(self, source: Source) -> NDArray[Any]:
        """Return the samples ``[L, T]`` of a record; NaN where a cell is empty."""
        form, place = self._form_of(source), int(source.extra["table_row"])
        if source.path.lower().endswith(".parquet"):
            leads = self.given.naming.order or form.leads or self.given.leads
            return _parquet_row(self.folder, source.path, form, place, len(leads))
        return _csv_row(self.folder, source.path, form, place)


def _is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _form(folder: Path, path: str) -> RowForm | None:
    return _form_now(folder, path, stamp_of(folder, path))


@lru_cache(maxsize=64)
def _form_now(folder: Path, path: str, stamp: tuple[int, int]) -> RowForm | None:
    return find_row_form(folder / path)


def _described(file: Path, name: str, form: RowForm) -> tuple[Table, Sequence[int]]:
    """Return the columns without samples as a table, and the place of each record in the file."""
    if file.suffix.lower() == ".parquet":
        with file.open("rb") as stream:
            count = pq.read_metadata(stream).num_rows
        return Table(name, parquet_blocks(file, form.others)), range(count)
    places = array("Q")
    return Table(name, _csv_blocks(file, form, places)), places


def _csv_blocks(file: Path, form: RowForm, places: "array[int]") -> Iterator[Block]:
    """Yield the columns without samples of a CSV file, and add the place of each row to `places`."""
    index = [form.names.index(name) for name in form.others]
    rows = csv_rows(file, form)
    while some := list(islice(rows, rows_at_a_time(len(form.names)))):
        places.extend(place for place, _ in some)
        cells = [[(row[at].strip() if at < len(row) else "") or None for _, row in some] for at in index]
        yield Block(form.others, cells)


def _csv_row(folder: Path, path: str, form: RowForm, place: int) -> NDArray[np.float64]:
    line = read_range(folder, path, place, _line_bytes(folder, path, place))
    cells = cells_of(line, form)
    if len(cells) != len(form.names):
        raise RecordError(f"a row of {path} has {len(cells)} cells", f"{len(form.names)}, as the first row has")
    if form.separator == ";":
        cells = [cell.replace(",", ".") for cell in cells]
    at = _index(form)
    try:
        numbers = np.array([[cells[n].strip() or "nan" for n in row] for row in at]).astype(np.float64)
    except ValueError:
        raise RecordError(f"a row of {path} holds a cell that is no number", "numbers as samples") from None
    return numbers


@lru_cache(maxsize=8)
def _index(form: RowForm) -> tuple[tuple[int, ...], ...]:
    places = {name: n for n, name in enumerate(form.names)}
    return tuple(tuple(places[name] for name in columns) for columns in form.columns)


def _line_bytes(folder: Path, path: str, place: int) -> int:
    with (folder / path).open("rb") as stream:
        stream.seek(place)
        return len(stream.readline(_LONGEST_ROW))


def _parquet_row(folder: Path, path: str, form: RowForm, row: int, leads: int) -> NDArray[Any]:
    if not form.is_list:
        return np.stack([read_numbers(folder, path, columns, row) for columns in form.columns])
    arrays = read_lists(folder, path, [columns[0] for columns in form.columns], row)
    if len({array.size for array in arrays}) != 1:
        raise RecordError(f"the leads of row {row} of {path} differ in length")
    whole = np.stack(arrays)
    if form.leads or len(arrays) == 1:
        return whole
    letters = find_axes(f"{form.columns[0][0]} in {path}", whole.shape, leads=leads, records=0)
    return whole.T if letters.startswith("T") else whole
