"""The first pass: every header is read once, and decides who gets which slot of the store."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from ecgkit.datasets.base import Dataset, Source, settle
from ecgkit.datasets.header import Header
from ecgkit.errors import DatasetError, RecordError
from ecgkit.executor import Executor
from ecgkit.ingest.options import IngestOptions
from ecgkit.leads import DERIVED, canonical_order
from ecgkit.signal.resample import resampled_length
from ecgkit.store.format import Layout
from ecgkit.store.writer import LedgerRow

Progress = Callable[[str, int, int], None]

HEADERS_A_CALL = 256  # enough that handing them out costs nothing beside reading them


@dataclass(frozen=True)
class Item:
    """What is to fill one slot of the store.

    Args:
        source: The record, as its dataset lists it.
        header: Its header.
        start: First sample to take, at the record's own rate.
        stop: First sample not to take.
        number: Counts the windows of a record that is split, from 1; 0 for a record that is not.
    """

    source: Source
    header: Header
    start: int
    stop: int
    number: int = 0

    @property
    def record_id(self) -> str:
        """The dataset's id, with the window's number where there are several."""
        return f"{self.source.record_id}#{self.number}" if self.number else self.source.record_id


@dataclass(frozen=True)
class Plan:
    """What is to become of a dataset.

    Args:
        found: Number of records that were asked for.
        layout: The store's.
        items: One a slot.
        rejected: Records that get none.
    """

    found: int
    layout: Layout
    items: list[Item]
    rejected: list[LedgerRow]

    @property
    def parts(self) -> int:
        """Number of shards."""
        return -(-len(self.items) // self.layout.shard)

    def part(self, index: int) -> list[Item]:
        """Return the items of a shard."""
        return self.items[index * self.layout.shard : (index + 1) * self.layout.shard]

    def fingerprint(self, options: IngestOptions) -> str:
        """Return a hash of all that decides the store's content, as far as headers and tables tell."""
        digest = hashlib.sha256(repr((options.drop, options.leads, options.fs, self.layout)).encode())
        for item in self.items:
            header = item.header
            told = (header.fs, header.samples, header.leads, header.unit, header.comments)
            digest.update(repr((item.source, told, item.start, item.stop, item.number)).encode())
        return digest.hexdigest()


def make_plan(
    dataset: Dataset,
    options: IngestOptions,
    executor: Executor,
    stopped: Callable[[], bool],
    progress: Progress | None = None,
) -> Plan:
    """List a dataset and read its headers.

    Raises:
        DatasetError: It lists no record, two of one id, or none that can be read.
        KeyboardInterrupt: `stopped` said so.
    """
    sources = _distinct(_chosen(settle(dataset.sources()), options))
    items: list[Item] = []
    rejected: list[LedgerRow] = []
    for source, header in zip(sources, _headers(dataset, sources, executor, stopped, progress), strict=True):
        if isinstance(header, LedgerRow):
            rejected.append(header)
        elif _stored_samples(*options.windows(header)[0], header, options) < 1:
            error = RecordError("less than one sample would be stored", "one or more", "Raise --seconds or --fs.")
            rejected.append(LedgerRow(source.record_id, source.path, "header", str(error)))
        else:
            items += _items(source, header, options)
    if not items:
        raise nothing_read(dataset, len(sources), rejected)
    leads = options.leads or _lead_axis([item.header for item in items])
    samples = max(_stored_samples(item.start, item.stop, item.header, options) for item in items)
    return Plan(len(sources), Layout.of(leads, samples), items, rejected)


def nothing_read(dataset: Dataset, found: int, rejected: Sequence[LedgerRow]) -> DatasetError:
    """Return the error of a dataset that would give an empty store, with the first reason."""
    if not rejected:
        return DatasetError(f"{dataset.root} lists no record", "at least one that was asked for")
    first = rejected[0]
    return DatasetError(
        f"none of the {found} records of {dataset.root} can be taken; record {first.record_id}: {first.reason}"
    )


def _chosen(sources: Sequence[Source], options: IngestOptions) -> list[Source]:
    if options.patients is not None:
        sources = [source for source in sources if source.patient_id in options.patients]
    return list(sources[: options.limit])


def _distinct(sources: list[Source]) -> list[Source]:
    """Return the sources, refusing two of one id: results could not tell them apart."""
    twice = [record_id for record_id, n in Counter(s.record_id for s in sources if not s.problem).items() if n > 1]
    if twice:
        raise DatasetError(f"record id {twice[0]!r} is listed twice", "one row a record in the dataset's table")
    return sources


def _headers(
    dataset: Dataset,
    sources: list[Source],
    executor: Executor,
    stopped: Callable[[], bool],
    progress: Progress | None,
) -> list[Header | LedgerRow]:
    """Return the header of each source, or why it has none."""
    headers: dict[int, list[Header | LedgerRow]] = {}
    calls = ((start, sources[start : start + HEADERS_A_CALL]) for start in range(0, len(sources), HEADERS_A_CALL))
    done = 0
    for start, read in executor.run(partial(read_headers, dataset), calls, stopped):
        headers[start] = read
        done += len(read)
        if progress:
            progress("headers", done, len(sources))
    if done < len(sources):
        raise KeyboardInterrupt
    return [header for start in sorted(headers) for header in headers[start]]


def read_headers(dataset: Dataset, call: tuple[int, list[Source]]) -> tuple[int, list[Header | LedgerRow]]:
    """Read some headers.

    Args:
        dataset: What they are of.
        call: A number, and the sources.

    Returns:
        The number, and for each source its header or its row of the ledger.
    """
    return call[0], [_header(dataset, source) for source in call[1]]


def _header(dataset: Dataset, source: Source) -> Header | LedgerRow:
    if source.problem:
        return LedgerRow(source.record_id, source.path, "table", str(RecordError(source.problem)))
    try:
        return dataset.header(source)
    except RecordError as error:
        return LedgerRow(source.record_id, source.path, "header", str(error))


def _items(source: Source, header: Header, options: IngestOptions) -> Iterator[Item]:
    windows = options.windows(header)
    for number, (start, stop) in enumerate(windows, 1):
        yield Item(source, header, start, stop, number if len(windows) > 1 else 0)


def _lead_axis(headers: Sequence[Header]) -> tuple[str, ...]:
    """Return all leads that some record will have, in canonical order."""
    leads: set[str] = set()
    for names, unit in {(header.leads, header.unit) for header in headers}:
        leads.update(names)
        if unit == "mV" and {"I", "II"} <= set(names):
            leads.update(DERIVED)
    return canonical_order(list(leads))


def _stored_samples(start: int, stop: int, header: Header, options: IngestOptions) -> int:
    return resampled_length(stop - start, header.fs, options.fs or header.fs)
