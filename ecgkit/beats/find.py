"""Finding the R peaks of a whole store: block by block, in one process or several, and resumable.

What is done lies in a hidden folder of the store, one file a block, under the hash of all that decides the peaks. A
run that was stopped goes on from there; when the last block is done, the peaks appear in ``STORE/beats/`` at once.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit import __version__
from ecgkit.atomic import atomic_file, atomic_folder
from ecgkit.beats.detector import Detector, Found
from ecgkit.beats.peaks import FOLDER, Peaks, has_peaks, read_attributes, read_peaks, write_peaks
from ecgkit.beats.plausible import Limits
from ecgkit.config import fingerprint
from ecgkit.errors import OutputError, StoreError
from ecgkit.signal.microvolts import decode
from ecgkit.store.reader import Store

Progress = Callable[[int, int], None]

BLOCK_RECORDS = 256  # at least; whole chunks of the store
SCHEMA = pa.schema([("record_id", pa.string()), ("rpeaks", pa.list_(pa.int32())), ("flag", pa.string())])


def find_beats(
    store: Store,
    detector: Detector | None = None,
    *,
    limits: Limits | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Peaks:
    """Find the R peaks of a store and keep them in it; peaks that are there already by the same means are kept.

    Args:
        store: The store.
        detector: How they are found; None for the default.
        limits: Which records are flagged as implausible.
        workers: Processes; the result does not depend on them.
        overwrite: Whether peaks found by other means may be replaced.
        progress: Called with records done and records in all.

    Raises:
        OutputError: The store has peaks found by other means, or cannot be written.
        StoreError: A record is damaged.
    """
    detector, limits = detector or Detector(), limits or Limits()
    attributes = {
        "store_sha256": store.content_hash,
        **detector.describe(),
        "limits": asdict(limits),
        "ecgkit": __version__,
    }
    if has_peaks(store) and not overwrite and not _stale(store):
        return _kept(store, attributes)
    partial = store.path / f".beats-{fingerprint(attributes)}.partial"
    blocks = _blocks(store)
    done = {start for start, _ in blocks if (partial / f"{start}.parquet").is_file()}
    missing = [block for block in blocks if block[0] not in done]
    finished = sum(stop - start for start, stop in blocks if start in done)
    for start, table in _tables(store, detector, limits, missing, workers):
        with atomic_file(partial / f"{start}.parquet") as staging:
            pq.write_table(table, staging)
        finished += len(table)
        if progress:
            progress(finished, len(store))
    parts = [pq.read_table(partial / f"{start}.parquet", schema=SCHEMA) for start, _ in blocks]
    with atomic_folder(store.path / FOLDER, FOLDER) as folder:
        write_peaks(folder, pa.concat_tables(parts).combine_chunks(), attributes)
    shutil.rmtree(partial)
    return read_peaks(store)


def _stale(store: Store) -> bool:
    """Return whether the peaks that are there serve nobody: found in other signals, or damaged."""
    try:
        read_peaks(store)
    except StoreError:
        return True
    return False


def _kept(store: Store, attributes: dict[str, Any]) -> Peaks:
    """Return the peaks that are there, if they were found by the same means."""
    there = read_attributes(store)
    other = [name for name in attributes if there.get(name) != attributes[name]]
    if other:
        name = other[0]
        raise OutputError(
            f"{store.path} has R peaks found with {name} {there.get(name)}",
            f"peaks with {name} {attributes[name]}, or none yet",
            "Replace them with --overwrite.",
        )
    return read_peaks(store)


def _blocks(store: Store) -> list[tuple[int, int]]:
    """Return start and stop of each block."""
    size = store.chunk_records * -(-BLOCK_RECORDS // store.chunk_records)
    return [(start, min(start + size, len(store))) for start in range(0, len(store), size)]


def _tables(
    store: Store, detector: Detector, limits: Limits, blocks: list[tuple[int, int]], workers: int
) -> Iterator[tuple[int, pa.Table]]:
    """Yield the start of each block and its table, as they are done."""
    if workers == 1 or len(blocks) < 2:
        for start, stop in blocks:
            yield start, block_table(store, detector, limits, start, stop)
        return
    # A fresh interpreter each: compiled code and thread pools do not survive a fork.
    pool = ProcessPoolExecutor(min(workers, len(blocks)), mp_context=get_context("spawn"))
    try:
        futures = {pool.submit(_in_worker, store.path, detector, limits, *block): block[0] for block in blocks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@cache
def _open(path: Path) -> Store:
    return Store(path)


def _in_worker(path: Path, detector: Detector, limits: Limits, start: int, stop: int) -> pa.Table:
    return block_table(_open(path), detector, limits, start, stop)


def block_table(store: Store, detector: Detector, limits: Limits, start: int, stop: int) -> pa.Table:
    """Return the rows `start` to `stop` of the table of peaks."""
    records = store.table.iloc[start:stop]
    found = find_in_block(store, detector, start, stop)
    rates, lengths = records["fs"].tolist(), records["samples"].tolist()
    flags = [
        why or limits.flag(peaks, fs, samples) for (peaks, why), fs, samples in zip(found, rates, lengths, strict=True)
    ]
    columns = [records["record_id"].tolist(), [peaks.astype(np.int32) for peaks, _ in found], flags]
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def find_in_block(store: Store, detector: Detector, start: int, stop: int) -> list[Found]:
    """Find the peaks of records `start` to `stop`, those of one rate, length and lead set together."""
    block = store.verified(start, stop)
    records = store.table.iloc[start:stop]
    keys = list(zip(records["fs"], records["samples"], map(tuple, records["leads"]), strict=True))
    found: list[Found] = [(np.empty(0, np.int64), "")] * (stop - start)
    for key in dict.fromkeys(keys):
        fs, samples, have = key
        same = np.flatnonzero([other == key for other in keys])
        leads = detector.choose_leads(have)
        signal = decode(block[same][:, [store.leads.index(lead) for lead in leads], : int(samples)])
        for row, result in zip(same, detector.find(signal, float(fs), leads), strict=True):
            found[row] = result if leads else (result[0], "none of the leads asked for")
    return found
