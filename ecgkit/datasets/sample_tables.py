"""CSV files with one column per lead and one row per sample: one file per record, or one with a column of record ids.

Lead names and units come from the header, such as ``V1 (uV)``, and the rate from a column of times. A file without a
header needs the names of its leads from the user. A file of records, whose rows are no samples, is not read as one.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from ecgkit.datasets.arrays import stem
from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.budget import check_memory
from ecgkit.datasets.channels import Naming, amplitudes, find_rows
from ecgkit.datasets.csv_form import Form, find_form
from ecgkit.datasets.header import Header
from ecgkit.datasets.missing import Stated, ask_for_missing
from ecgkit.datasets.paths import check_inside, size_and_time, stamp_of
from ecgkit.datasets.people import describe
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.stacked import largest_value
from ecgkit.datasets.tables import Table
from ecgkit.datasets.walk import walk_for
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import RecordError
from ecgkit.recording import Recording

SUFFIXES = (".csv", ".tsv")
# Bytes of memory per byte of a CSV file of numbers, at most: "1," becomes a number of 8 bytes.
_UNPACKED = 4


class SampleTables(Dataset):
    """A folder of CSV files of samples, or one such file."""

    name = "csv"
    code_system = "table"
    takes_table = True
    takes_file = True

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether one of the first CSV files holds samples."""
        folder = root if root.is_dir() else root.parent
        return any(_form(folder, path) for path in walk_for(root, _is_csv, SUFFIXES)[0][:20])

    @property
    def folder(self) -> Path:
        """The folder to which paths are relative."""
        return self.root if self.root.is_dir() else self.root.parent

    def sources(self) -> Sequence[Source]:
        """List the records of all files.

        Raises:
            DatasetError: A file with several records has no column that names them.
        """
        files, self.not_entered = walk_for(self.root, _is_csv, SUFFIXES)
        paths = [path for path in files if self._is_signal(path)]
        first = next(form for path in paths if (form := _form(self.folder, path)))
        self.findings += [*first.notes, f"{len(paths)} CSV files of samples: {first.told}"]
        if not self._record_column(first):
            return Spool(Source(record_id=stem(path), path=path) for path in paths)
        return Spool(self._each(paths))

    def _each(self, paths: Sequence[str]) -> Iterator[Source]:
        for path in paths:
            try:
                with one_error(path, "a CSV file of samples"):
                    found = self._records(path)
            except RecordError as error:
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
                with one_error(source.path, "a CSV file of samples"):
                    form, frame = self._form_of(source), self._samples(source)
            except RecordError:  # goes to the ledger when its header is read
                continue
            ask_for_missing(source.path, self._stated(source, form), len(form.columns), partial(largest_value, frame))
            return

    def header(self, source: Source) -> Header:
        """Return the header of a record: its number of rows, and what is stated of its columns."""
        with one_error(source.path, "a CSV file of samples"):
            check_inside(self.folder, source.path)
            form = self._form_of(source)
            stated = self._stated(source, form)
            fs, names, _ = stated.complete(source.path)
            units = [unit or stated.unit for unit in form.units] or [stated.unit] * len(names)
            naming = Naming(renames=self.given.naming.renames)
            rows = find_rows(names, units, naming)
            samples = _count_lines(self.folder, source.path) if _is_whole(source) else self._samples(source).shape[1]
            stamp = str(size_and_time(self.folder, source.path))
        return Header(fs, samples, rows.leads, rows.unit, rows.source_leads, rows.other, layout=rows, stamp=stamp)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        with one_error(source.path, "a CSV file of samples"):
            samples = self._samples(source)
            if samples.shape[1] != header.samples:
                raise RecordError(
                    f"{source.path} has {samples.shape[1]} rows of samples", f"{header.samples}, one per line"
                )
            return recording_of(amplitudes(header.layout.pick(samples), header.layout), header, source.record_id)

    def _is_signal(self, path: str) -> bool:
        table = self.given.table
        is_table = table is not None and table.resolve() == (self.folder / path).resolve()
        return not is_table and _form(self.folder, path) is not None

    def _form_of(self, source: Source) -> Form:
        form = _form(self.folder, source.path)
        if form is None:
            raise RecordError(f"{source.path} holds no columns of samples")
        return form

    def _record_column(self, form: Form) -> str:
        return self.given.record_column if self.given.record_column in form.names else form.record_column

    def _stated(self, source: Source, form: Form) -> Stated:
        """Return what is stated of a record's signal: by the user, by the table, or by the file."""
        order = self.given.naming.order
        return Stated(
            fs=source.fs or form.fs or self.given.source_fs or self.fs,
            leads=order or form.leads or self.given.leads,
            unit=source.unit or next((unit for unit in form.units if unit), "") or self.given.unit,
        )

    def _samples(self, source: Source) -> np.ndarray:
        """Return the samples ``[L, T]`` of a record, of all columns that are leads."""
        form = self._form_of(source)
        if _is_whole(source):
            plain = _plain(self.folder, source.path, form.columns, stamp_of(self.folder, source.path))
            return _matrix(_read(self.folder, source.path, form.columns, ""), source.path) if plain is None else plain
        whole = _read(self.folder, source.path, form.columns, self._record_column(form))
        own = whole.loc[[source.extra["csv_record"]]]
        return _matrix(own, source.path)

    def _records(self, path: str) -> Sequence[Source]:
        """Return the records of a file with a column of ids, with the other columns of each record's first row."""
        form = _form(self.folder, path)
        assert form is not None  # only such files are asked for
        column = self._record_column(form)
        others = [name for name in form.others if name != column]
        self.columns |= {column, *others}
        first = _first_rows(self.folder, path, column, tuple(others))
        sources = [Source(record_id=str(key), path=path, extra={"csv_record": key}) for key in first.index]
        if not others:
            return sources
        cells = {name: first[name].tolist() for name in others}
        return describe(self, sources, Table.of(path, {column: list(first.index), **cells}), in_order=True)


def _is_whole(source: Source) -> bool:
    """Return whether a record is a whole file."""
    return "csv_record" not in source.extra


def _count_lines(folder: Path, path: str) -> int:
    """Return the number of lines with samples, which is much faster than reading the numbers."""
    form = _form(folder, path)
    assert form is not None  # the caller has it already
    raw = (folder / path).read_bytes().rstrip()
    if form.encoding == "utf-16" or b"\n" not in raw or b"\n\n" in raw or b"\n\r" in raw:
        lines = sum(bool(line) for line in raw.decode(form.encoding, "replace").splitlines())
    else:  # no blank lines
        lines = raw.count(b"\n") + 1
    return lines - form.has_header - len(form.skipped)


def _is_csv(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _form(folder: Path, path: str) -> Form | None:
    return _form_now(folder, path, stamp_of(folder, path))


@lru_cache(maxsize=4096)
def _form_now(folder: Path, path: str, stamp: tuple[int, int]) -> Form | None:
    return find_form(folder / path)


def _read(folder: Path, path: str, columns: tuple[str, ...], by: str) -> pd.DataFrame:
    return _read_now(folder, path, columns, by, stamp_of(folder, path))


@lru_cache(maxsize=2)
def _read_now(folder: Path, path: str, columns: tuple[str, ...], by: str, stamp: tuple[int, int]) -> pd.DataFrame:
    """Return the columns of leads, indexed by record if `by` names the column of records."""
    file = folder / path
    check_memory(file.stat().st_size, path, _UNPACKED)
    form = _form(folder, path)
    assert form is not None  # the caller has it already
    with file.open("rb") as stream:
        frame = pd.read_csv(
            stream,
            encoding=form.encoding,
            sep=form.separator,
            decimal="," if form.separator == ";" else ".",
            header=0 if form.has_header else None,
            names=list(form.names),
            usecols=[*columns, by] if by else list(columns),
            dtype={by: str} if by else None,
            skiprows=form.skipped,
        )
    if by:
        frame = frame.set_index(frame[by].str.strip()).drop(columns=by).sort_index(kind="stable")
    return frame[list(columns)]


@lru_cache(maxsize=2)
def _plain(folder: Path, path: str, columns: tuple[str, ...], stamp: tuple[int, int]) -> np.ndarray | None:
    """Return ``[L, T]`` of the columns of leads by the fastest parser; None if it finds anything but plain numbers."""
    file, form = folder / path, _form(folder, path)
    assert form is not None  # the caller has it already
    check_memory(file.stat().st_size, path, _UNPACKED)
    try:
        with file.open("rb") as stream:
            table = csv.read_csv(
                stream,
                csv.ReadOptions(
                    use_threads=False,  # records are read in many processes
                    column_names=form.names,
                    skip_rows=form.has_header + len(form.skipped),
                    encoding=form.encoding,
                ),
                csv.ParseOptions(delimiter=form.separator),
                csv.ConvertOptions(include_columns=columns, decimal_point="," if form.separator == ";" else "."),
            )
    except (pa.ArrowException, LookupError, UnicodeError):
        return None
    is_plain = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in table.schema.types)
    return np.stack([column.to_numpy() for column in table.columns]) if is_plain else None


def _first_rows(folder: Path, path: str, by: str, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the first row of each record, in the order of the file, with every cell as text."""
    form = _form(folder, path)
    assert form is not None  # the caller has it already
    with (folder / path).open("rb") as stream:
        frame = pd.read_csv(
            stream,
            encoding=form.encoding,
            sep=form.separator,
            header=0,
            names=list(form.names),
            usecols=[by, *columns],
            skiprows=form.skipped,
            dtype=str,
        )
    frame[by] = frame[by].str.strip()
    first = frame.dropna(subset=by).drop_duplicates(by).set_index(by)
    return first.astype(object).where(first.notna(), None)


def _matrix(frame: pd.DataFrame, path: str) -> np.ndarray:
    """Return ``[L, T]`` of a frame of numbers.

    Raises:
        RecordError: A column holds something else.
    """
    for name, column in frame.items():
        if column.dtype.kind not in "iuf":
            cell = next((str(value) for value in column if _is_text(value)), "")
            raise RecordError(f"column {name} of {path} holds {cell[:20]!r}", "numbers")
    return np.ascontiguousarray(frame.to_numpy().T)


def _is_text(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return True
    return False
