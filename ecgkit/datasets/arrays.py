"""Arrays of records: ``.npy``, ``.npz``, HDF5, Zarr and MATLAB files with many records in one array, or one per file.

What the files and the table beside them say is found: axes, ids, patients, rate, unit, names of leads. What nobody says
is asked for in one error that names the options.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

from ecgkit.datasets.base import Dataset, Source
from ecgkit.datasets.channels import Naming, amplitudes, find_rows
from ecgkit.datasets.containers import OPENERS, Container, open_container, suffix_of
from ecgkit.datasets.given import Given
from ecgkit.datasets.header import Header
from ecgkit.datasets.matching import likely_column
from ecgkit.datasets.missing import Stated, ask_for_missing
from ecgkit.datasets.people import describe
from ecgkit.datasets.spool import Spool
from ecgkit.datasets.stacked import largest_value, read_from
from ecgkit.datasets.stacks import Stack, find_stacks, stacks_of, stated_in
from ecgkit.datasets.stores import is_store
from ecgkit.datasets.tables import Table, columns_of
from ecgkit.datasets.walk import Refused, walk_for
from ecgkit.datasets.wfdb_record import one_error, recording_of
from ecgkit.errors import DatasetError, RecordError
from ecgkit.recording import Recording

# Beyond this many files, each is taken to hold what the first one holds: one record.
_MOST_OPENED = 1000


class Arrays(Dataset):
    """A folder of array files of one kind, or one such file."""

    name = "arrays"
    code_system = "table"
    takes_table = True
    takes_file = True

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether this is an array file, or a folder of such files."""
        return bool(array_files(root)[0])

    @classmethod
    def is_certain(cls, root: Path) -> bool:
        """Return whether the folder holds array files that are no signal files of WFDB records."""
        return next(root.rglob("*.hea"), None) is None and cls.recognises(root)

    def sources(self) -> Sequence[Source]:
        """List the records of all files.

        Raises:
            DatasetError: No file holds an array of signals, or the axes of one cannot be told apart.
        """
        paths = self._paths()
        stacks: list[Stack] = []
        problems: list[Source] = []
        doubtful: dict[str, DatasetError] = {}
        for path in paths[:_MOST_OPENED]:
            try:
                with one_error(path, "a file of arrays"):
                    stacks += find_stacks(self.folder, path, self.given)
            except RecordError as error:
                problems.append(Source(record_id=stem(path), path=path, problem=str(error)))
            except DatasetError as error:
                doubtful[path] = error
        signals, beside = _signals_among(stacks)
        if not signals and doubtful:
            raise next(iter(doubtful.values()))
        if not signals:
            raise DatasetError(problems[0].problem if problems else f"{self.root} holds no array of signals")
        self._tell(signals)
        if all(stack.records == 1 for stack in signals):
            few = [stack for stack in beside if stack.path not in {signal.path for signal in signals}]
            problems += [Source(record_id=stem(s.path), path=s.path, problem=_fewer_axes(s)) for s in few]
            problems += [Source(record_id=stem(path), path=path, problem=str(e)) for path, e in doubtful.items()]
        else:
            self.findings += [f"not used: {error.found}" for error in doubtful.values()]
        self.in_order = len(signals) == 1 or self._is_table_without_ids()
        later = [Source(record_id=stem(path), path=path) for path in paths[_MOST_OPENED:]]
        found = Spool(source for stack in signals for source in _records(stack, alone=_is_alone(stack, signals)))
        described = self._with_columns(found, signals[0], beside) if len(signals) == 1 else found
        return Spool(chain(described, problems, later)) if problems or later else described

    def check(self, sources: Sequence[Source]) -> None:
        """Refuse signals of which nobody states the rate, the leads or the unit.

        Raises:
            DatasetError: The options that state what is missing.
        """
        for first in sources:
            if first.problem:
                continue
            try:
                with one_error(first.path, "a file of arrays"):
                    container = open_container(self.folder, first.path)
                    stack = _only_stack(container, first.path, first.extra.get("array"), self.given)
                    stated = _stated(container, self.given, first.fs, first.unit, self.fs)
                    largest = partial(self._largest, stack, first)
                    ask_for_missing(f"{stack}", stated, stack.rows, largest)
            except RecordError:  # goes to the ledger when its header is read
                continue
            return

    def _largest(self, stack: Stack, source: Source) -> float:
        return largest_value(self._samples(stack, _place(source)))

    def header(self, source: Source) -> Header:
        """Return the header of a record, from the shape of its array and what is stated of it."""
        with one_error(source.path, "a file of arrays"):
            container = open_container(self.folder, source.path)
            name = source.extra.get("array")
            return _header(container, source.path, name, self.given, source.fs, source.unit, self.fs)

    def read(self, source: Source, header: Header) -> Recording:
        """Read one record."""
        stack, rows = header.layout
        with one_error(source.path, "a file of arrays"):
            samples = self._samples(stack, _place(source))
            return recording_of(amplitudes(rows.pick(samples), rows), header, source.record_id)

    @cached_property
    def folder(self) -> Path:
        """The folder to which paths are relative."""
        return self.root.parent if _is_array_file(self.root) else self.root

    def _paths(self) -> list[str]:
        """Return the files of the most frequent kind; the others are told."""
        paths, self.not_entered = array_files(self.root)
        kinds = Counter(suffix_of(path) for path in paths)
        kind = max(kinds, key=lambda suffix: (kinds[suffix], suffix))
        others = ", ".join(f"{count} {suffix}" for suffix, count in kinds.items() if suffix != kind)
        if others:
            self.findings.append(f"the {kinds[kind]} {kind} files are read; not read: {others}")
        return [path for path in paths if suffix_of(path) == kind]

    def _is_table_without_ids(self) -> bool:
        """Return whether the user names a table that can only follow the order of the files."""
        table = self.given.table
        return table is not None and not self.given.record_column and not likely_column(columns_of(table))

    def _samples(self, stack: Stack, place: int) -> Any:
        return read_from(self.folder, stack.path, stack.name, stack.letters, place)

    def _with_columns(self, sources: Sequence[Source], stack: Stack, beside: Sequence[Stack]) -> Sequence[Source]:
        """Return the sources with what the lists in the file, one value per record, say of them."""
        columns = dict(open_container(self.folder, stack.path).lists(stack.records, but=stack.name))
        for other in beside:
            columns |= open_container(self.folder, other.path).lists(stack.records, named=stem(other.path))
        if not columns or not stack.records > 1:
            return sources
        return describe(self, sources, Table.of(stack.path, columns), in_order=True)

    def _tell(self, signals: Sequence[Stack]) -> None:
        records = sum(stack.records for stack in signals)
        shapes = Counter((stack.letters, stack.samples) for stack in signals)
        if len(signals) == 1:
            self.findings.append(f"{signals[0]}: {signals[0].told}")
        else:
            kinds = ", ".join(sorted({" ".join(letters.replace("1", "")) for letters, _ in shapes}))
            self.findings.append(f"{len(signals)} arrays with {records} records; axes {kinds}")


@lru_cache(maxsize=64)
def _header(
    container: Container,
    path: str,
    name: str | None,
    given: Given,
    fs: float | None,
    unit: str,
    preferred: float | None,
) -> Header:
    """Return the header that all records of an array have in common."""
    stack, stated = _only_stack(container, path, name, given), _stated(container, given, fs, unit, preferred)
    rate, names, own_unit = stated.complete(path)
    if len(names) != stack.rows:
        raise RecordError(f"{stack} has {stack.rows} rows, but {len(names)} leads are named")
    rows = find_rows(names, [own_unit] * len(names), Naming(renames=given.naming.renames))
    if not stack.samples:
        raise RecordError(f"{stack} holds no sample")
    return Header(
        rate,
        stack.samples,
        rows.leads,
        rows.unit,
        rows.source_leads,
        rows.other,
        layout=(stack, rows),
        stamp=container.stamp,
    )


def _only_stack(container: Container, path: str, name: str | None, given: Given) -> Stack:
    """Return the array of a name, or the one of a file with one record."""
    try:
        stacks = stacks_of(container, path, given)
    except DatasetError as error:  # of one file among many
        raise RecordError(str(error)) from None
    found = next((stack for stack in stacks if name is None or stack.name == name), None)
    if found is None or (name is None and found.records > 1):
        raise RecordError(f"{path} does not hold one record")
    return found


def _stated(container: Container, given: Given, fs: float | None, unit: str, preferred: float | None) -> Stated:
    """Return what is stated of a record's signal: by the table (`fs`, `unit`), by the file, or by the user."""
    in_file = stated_in(container)
    return Stated(
        fs=fs or in_file.fs or given.source_fs or preferred,
        leads=given.naming.order or in_file.leads or given.leads,
        unit=unit or in_file.unit or given.unit,
    )


def array_files(root: Path) -> tuple[list[str], list[Refused]]:
    """Return the array files of a folder in order, relative to it, and the folders not entered; or the one file."""
    return walk_for(root, _is_array_file, OPENERS)


def _is_array_file(path: Path) -> bool:
    suffix = suffix_of(path.name)
    if suffix not in OPENERS:
        return False
    if suffix != ".zarr":
        return path.is_file()
    return path.is_dir() and not is_store(path)


def _signals_among(stacks: Sequence[Stack]) -> tuple[list[Stack], list[Stack]]:
    """Return the arrays that hold signals, and those that may hold a value per record, such as labels.

    Where one array has an axis of records, arrays with fewer axes are no signals.
    """
    most = max((stack.axes for stack in stacks), default=0)
    return [s for s in stacks if s.axes == most], [s for s in stacks if s.axes < most]


def _fewer_axes(stack: Stack) -> str:
    """Return why an array is no record beside others that are."""
    return f"{stack} has fewer axes than the other files. If it is a record too, ingest it from a folder of its own."


def _is_alone(stack: Stack, signals: Sequence[Stack]) -> bool:
    return sum(other.path == stack.path for other in signals) == 1


def _records(stack: Stack, *, alone: bool) -> Iterator[Source]:
    """Yield the records of an array. ``file[3]`` is the fourth record of the array in a file."""
    base = stem(stack.path) if alone else f"{stem(stack.path)}/{stack.name}"
    for place in range(stack.records):
        record_id = f"{base}[{place}]" if "N" in stack.letters else base
        yield Source(record_id=record_id, path=stack.path, extra={"array": stack.name, "array_row": place})


def _place(source: Source) -> int:
    return int(source.extra.get("array_row", 0))


def stem(path: str) -> str:
    """Return a path without its suffix."""
    return path.removesuffix(os.path.splitext(path)[1])
