"""The first pass of an ingest: read every header once, and give each record its slot in the store.

A call that reads some headers also packs its part of the plan. The planning process keeps packed parts in an unnamed
file and passes them on without unpacking them, so the plan of ten million records needs little memory.
"""

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate, chain, islice

from ecgkit.datasets.base import Dataset, Source, settle, utf8
from ecgkit.datasets.budget import alarms, check_memory, memory_budget, time_budget
from ecgkit.datasets.header import Header
from ecgkit.datasets.identity import plain_id
from ecgkit.datasets.paths import refused_members, size_and_time
from ecgkit.datasets.people import introduce
from ecgkit.datasets.repeats import repeated
from ecgkit.datasets.spool import Chest, Spool, pack, unpack
from ecgkit.errors import DatasetError, RecordError
from ecgkit.executor import Executor
from ecgkit.ingestion.options import IngestOptions
from ecgkit.ingestion.verify import verify
from ecgkit.interrupt import Stop
from ecgkit.leads import DERIVED, canonical_order
from ecgkit.progress import silent
from ecgkit.signal.resample import resampled_length
from ecgkit.store.format import Layout
from ecgkit.store.writer import LedgerRow

Progress = Callable[[str, int, int], None]

Kinds = frozenset[tuple[tuple[str, ...], str]]
HEADERS_A_CALL = 256  # large enough that handing out a call costs little compared with reading the headers


@dataclass(frozen=True)
class Item:
    """The content of one slot of the store.

    Args:
        source: The record, as its dataset lists it.
        header: Its header.
        start: First sample to store, at the record's own rate.
        stop: Sample after the last one to store.
        number: Number of the window in a record that is split, counted from 1; 0 for a record that is not split.
    """

    source: Source
    header: Header
    start: int
    stop: int
    number: int = 0

    @property
    def record_id(self) -> str:
        """The dataset's record id, followed by the window's number if the record is split."""
        return f"{self.source.record_id}#{self.number}" if self.number else self.source.record_id


@dataclass(frozen=True)
class Block:
    """The plan for some consecutive records of a dataset.

    Args:
        packed: Items of these records; see `ecgkit.datasets.spool.pack`. Empty once they are kept in a file.
        slots: Number of items.
        lengths: Length of each item in samples, as stored.
        kinds: Leads and unit of each kind of header.
        digest: Hash of everything that decides what is stored of these records.
        rejected: Ledger rows of the records that get no slot.
        read: Number of records that were read.
        others: Number of records that turned out to be of patients that were not asked for.
        telling: Number of records whose id tells the patient's id, although that is hashed.
    """

    packed: bytes
    slots: int
    lengths: "array[int]"
    kinds: "Kinds"
    digest: bytes
    rejected: list[LedgerRow]
    read: int
    others: int = 0
    telling: int = 0


@dataclass(frozen=True)
class Slots:
    """Consecutive slots of a store, small enough to be sent to the process that fills them.

    Args:
        packed: The blocks that hold their items.
        start: First slot, counted from the first item of these blocks.
        stop: Slot after the last one, counted in the same way.
    """

    packed: tuple[bytes, ...]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def items(self) -> list[Item]:
        """Return the items of these slots."""
        return [item for packed in self.packed for item in unpack(packed)][self.start : self.stop]


@dataclass(frozen=True)
class Plan:
    """The plan for a dataset.

    Args:
        found: Number of records that were asked for.
        layout: Layout of the store.
        blocks: Plans of all records, in order.
        rejected: Ledger rows of the records that get no slot.
        packed: Returns the packed items of a block, given its number.
    """

    found: int
    layout: Layout
    blocks: list[Block]
    rejected: list[LedgerRow]
    packed: Callable[[int], bytes]

    @property
    def telling(self) -> int:
        """Number of records whose id tells the patient's id, although that is hashed."""
        return sum(block.telling for block in self.blocks)

    @cached_property
    def starts(self) -> list[int]:
        """The first slot of each block, followed by the total number of slots."""
        return [0, *accumulate(block.slots for block in self.blocks)]

    @property
    def slots(self) -> int:
        """Number of slots."""
        return self.starts[-1]

    @property
    def parts(self) -> int:
        """Number of shards."""
        return -(-self.slots // self.layout.shard)

    def part(self, index: int) -> Slots:
        """Return the slots of a shard."""
        start = index * self.layout.shard
        stop = min(start + self.layout.shard, self.slots)
        first, last = bisect_right(self.starts, start) - 1, bisect_left(self.starts, stop)
        packed = tuple(self.packed(number) for number in range(first, last))
        return Slots(packed, start - self.starts[first], stop - self.starts[first])

    def size(self, index: int) -> int:
        """Return the number of slots in a shard."""
        return min(self.layout.shard, self.slots - index * self.layout.shard)

    def samples(self, index: int) -> int:
        """Return the number of samples per lead in a shard."""
        start = index * self.layout.shard
        stop = min(start + self.layout.shard, self.slots)
        first, last = bisect_right(self.starts, start) - 1, bisect_left(self.starts, stop)
        lengths = chain.from_iterable(block.lengths for block in self.blocks[first:last])
        return sum(islice(lengths, start - self.starts[first], stop - self.starts[first]))

    def fingerprint(self, options: IngestOptions) -> str:
        """Return a hash of the options that decide the store's content."""
        patients = None if options.patients is None else sorted(options.patients)
        key = options.identity.attributes
        return hashlib.sha256(repr((replace(options, patients=None), patients, key)).encode()).hexdigest()

    def source(self) -> str:
        """Return a hash of the source: of its records, and of the names, sizes, times and headers of their files."""
        digest = hashlib.sha256(repr(self.layout).encode())
        for block in self.blocks:
            digest.update(block.digest)
        return digest.hexdigest()


def make_plan(
    dataset: Dataset,
    options: IngestOptions,
    executor: Executor,
    stop: Stop,
    progress: Progress | None = None,
) -> Plan:
    """List the records of a dataset and read their headers.

    Raises:
        DatasetError: The dataset lists no record, two records with one id, or no record that can be read; or a table
            differs from the publisher's list.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    with memory_budget(options.max_record_mb):
        listed = settle(introduce(dataset))
        sources, damaged = distinct(_chosen(listed, options)), list[LedgerRow]()
    listing, blocks = len(sources), dict[int, Block]()
    chest, places, kinds = Chest(), dict[int, tuple[int, int]](), dict[Kinds, Kinds]()
    if options.verify:
        checked = verify(dataset, listed, sources, executor, stop, progress or silent)
        sources, damaged = checked.sources, checked.rejected
    del listed
    done = 0
    for start, block in executor.run(partial(plan_block, dataset, options), _handed_out(sources), stop):
        places[start] = chest.put(block.packed)
        blocks[start] = replace(block, packed=b"", kinds=kinds.setdefault(block.kinds, block.kinds))
        done += block.read
        if progress:
            progress("headers", done + len(damaged), listing)
    stop.check()
    order = sorted(blocks)
    ordered = [blocks[start] for start in order]
    found = listing - sum(block.others for block in ordered)
    rejected = [*not_entered(dataset), *damaged, *(row for block in ordered for row in block.rejected)]
    if not any(block.slots for block in ordered):
        raise nothing_read(dataset, found, rejected)
    leads = options.leads or _lead_axis(frozenset().union(*(block.kinds for block in ordered)))
    layout = Layout.of(leads, Counter(chain.from_iterable(block.lengths for block in ordered)))
    return Plan(found, layout, ordered, rejected, lambda number: chest.get(*places[order[number]]))


def nothing_read(dataset: Dataset, found: int, rejected: Sequence[LedgerRow]) -> DatasetError:
    """Return the error for a dataset that would give an empty store, with the reason for the first record."""
    if not rejected:
        return DatasetError(f"{dataset.root} lists no record that was asked for")
    first = rejected[0]
    return DatasetError(
        f"none of the {found} records of {dataset.root} can be taken; record {first.record_id}: {first.reason}"
    )


def not_entered(dataset: Dataset) -> list[LedgerRow]:
    """Return a ledger row for each folder that was not entered, and each member of an archive that was refused."""
    paths = [utf8(folder.path) for folder in dataset.not_entered]
    stages = ["folder" if folder.is_lost else "link" for folder in dataset.not_entered]
    reasons = [folder.reason for folder in dataset.not_entered]
    rows = [LedgerRow(path, path, *rest) for path, *rest in zip(paths, stages, reasons, strict=True)]
    return rows + [LedgerRow(path, path, "archive", reason) for path, reason in refused_members(dataset.root)]


def _chosen(sources: Sequence[Source], options: IngestOptions) -> Sequence[Source]:
    if options.patients is None and options.limit is None:
        return sources
    patients = options.patients
    # Where the dataset does not name a patient, the header may; see `plan_block`.
    asked = (s for s in sources if patients is None or s.patient_id is None or s.patient_id in patients)
    few = islice(asked, options.limit)
    return list(few) if isinstance(sources, list) else Spool(few)


def distinct(sources: Sequence[Source]) -> Sequence[Source]:
    """Return the sources, and refuse two with the same id, since results could not tell them apart."""
    twice = repeated(lambda: (source.record_id for source in sources if not source.problem))
    if twice:
        raise DatasetError(f"record id {twice[0]!r} is listed twice", "one row per record in the dataset's table")
    return sources


def _handed_out(sources: Sequence[Source]) -> Iterator[tuple[int, list[Source]]]:
    """Yield the sources in groups, each with the index of its first source. Yielded groups are not kept in memory."""
    if not isinstance(sources, list):
        left = iter(sources)
        for start in range(0, len(sources), HEADERS_A_CALL):
            yield start, list(islice(left, HEADERS_A_CALL))
        return
    for start in range(0, len(sources), HEADERS_A_CALL):
        stop = min(start + HEADERS_A_CALL, len(sources))
        some = sources[start:stop]
        sources[start:stop] = [_GONE] * len(some)
        yield start, some


_GONE = Source(record_id="", path="")


@alarms()
def plan_block(dataset: Dataset, options: IngestOptions, call: tuple[int, list[Source]]) -> tuple[int, Block]:
    """Read the headers of some sources, and plan what to store of their records.

    Args:
        dataset: The dataset of the sources.
        options: Options of the ingest.
        call: Index of the first source, and the sources.

    Returns:
        The index, and the plan.
    """
    items: list[Item] = []
    rejected: list[LedgerRow] = []
    others = telling = 0
    digest = hashlib.sha256()
    for source in call[1]:
        header = _header(dataset, source, options)
        patient = source.patient_id or plain_id(header.patient_id if isinstance(header, Header) else None)
        if options.patients is not None and patient not in options.patients:
            others += 1
            continue
        telling += bool(options.identity.key and patient and patient in source.record_id)
        if isinstance(header, LedgerRow):
            rejected.append(header)
        elif _stored_samples(*options.windows(header)[0], header, options) < 1:
            error = RecordError("less than one sample would be stored", remedy="Raise --seconds or --fs.")
            rejected.append(LedgerRow(source.record_id, source.path, "header", str(error)))
        else:
            own = list(_items(source, header, options))
            state = header.stamp or _state(dataset, source)
            told = (header.fs, header.samples, header.leads, header.unit, header.comments, state)
            digest.update(repr((source, told, [(item.start, item.stop, item.number) for item in own])).encode())
            items += own
    kinds = frozenset((item.header.leads, item.header.unit) for item in items)
    lengths = array("Q", (_stored_samples(item.start, item.stop, item.header, options) for item in items))
    block = Block(pack(items), len(items), lengths, kinds, digest.digest(), rejected, len(call[1]), others, telling)
    return call[0], block


def _header(dataset: Dataset, source: Source, options: IngestOptions) -> Header | LedgerRow:
    if source.problem:
        return LedgerRow(source.record_id, source.path, "table", str(RecordError(source.problem)))
    try:
        with memory_budget(options.max_record_mb), time_budget(options.max_record_seconds):
            header = dataset.header(source)
            longest = max(header.samples, resampled_length(header.samples, header.fs, options.fs or header.fs))
            check_memory(longest * len(header.leads), source.record_id)
            return header
    except RecordError as error:
        return LedgerRow(source.record_id, source.path, "header", str(error))


def _state(dataset: Dataset, source: Source) -> tuple[int, float] | None:
    """Return the size of a record's file and the time of its last change; None if its path is no single file."""
    try:
        return size_and_time(dataset.root, source.path)
    except (OSError, ValueError, RecordError):
        return None


def _items(source: Source, header: Header, options: IngestOptions) -> Iterator[Item]:
    windows = options.windows(header)
    for number, (start, stop) in enumerate(windows, 1):
        yield Item(source, header, start, stop, number if len(windows) > 1 else 0)


def _lead_axis(kinds: Collection[tuple[tuple[str, ...], str]]) -> tuple[str, ...]:
    """Return all leads that any record will have, in canonical order."""
    leads: set[str] = set()
    for names, unit in kinds:
        leads.update(names)
        if unit == "mV" and {"I", "II"} <= set(names):
            leads.update(DERIVED)
    return canonical_order(list(leads))


def _stored_samples(start: int, stop: int, header: Header, options: IngestOptions) -> int:
    return resampled_length(stop - start, header.fs, options.fs or header.fs)
