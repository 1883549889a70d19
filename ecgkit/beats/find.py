"""Find the R peaks of a whole store, part by part.

Each part is a block of consecutive records. Finished parts are kept in the hidden folder ``STORE/.beats.partial`` (see
`ecgkit.unfinished`), so the same call continues where an earlier one was stopped. When the last part is done, the peaks
appear in ``STORE/beats/`` at once.
"""

import os
import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ecgkit import __version__
from ecgkit.beats.detector import Detector, Found
from ecgkit.beats.peaks import FOLDER, Peaks, has_peaks, read_attributes, read_peaks, write_peaks
from ecgkit.beats.plausible import Limits
from ecgkit.choices import recorded
from ecgkit.config import fingerprint
from ecgkit.errors import OutputError, StoreError
from ecgkit.executor import Executor
from ecgkit.parquet import read_table, write_table
from ecgkit.parts import Part, made_again_if_damaged, make_parts
from ecgkit.progress import Advance
from ecgkit.store.products import note_own_folder, own_folder
from ecgkit.store.reader import Store
from ecgkit.unfinished import Unfinished, whole_file

BLOCK_RECORDS = 256  # smallest number of records per block; a block has whole chunks of the store
SCHEMA = pa.schema([("record_id", pa.string()), ("rpeaks", pa.list_(pa.int32())), ("flag", pa.string())])


def find_beats(
    store: Store,
    detector: Detector | None = None,
    *,
    limits: Limits | None = None,
    overwrite: bool = False,
    progress: Advance | None = None,
    executor: Executor | None = None,
) -> Peaks:
    """Find the R peaks of a store and keep them in it. Existing peaks of the same detector and settings are kept.

    Args:
        store: The store.
        detector: Detector to use; None for the default.
        limits: Limits beyond which records are flagged as implausible.
        overwrite: Replace peaks of another detector or other settings, and unfinished work with other settings.
        progress: Called with records done and records in total.
        executor: Runs the work; None for this process. The result is the same to the last byte.

    Returns:
        The peaks.

    Raises:
        OutputError: The store has peaks of another detector or other settings, another process is finding them, or the
            store cannot be written.
        StoreError: A record is damaged.
        KeyboardInterrupt: Ctrl-C was pressed; finished parts are kept.
        WorkerError: A worker ended before its work was done.
    """
    detector, limits = detector or Detector(), limits or Limits()
    attributes = _attributes(store, detector, limits)
    if has_peaks(store) and not overwrite and not _useless(store):
        return _kept(store, attributes)
    folder = own_folder(store.path, store.content_hash, FOLDER)
    note_own_folder(store.path, folder)
    unfinished = Unfinished(folder, FOLDER, overwrite=overwrite or has_peaks(store), hidden=True, option="")
    with unfinished.open():
        _remove_old_format(store)
        parts = _parts(store)
        unfinished.begin(fingerprint(attributes, [part.call for part in parts]))
        make = partial(_make_part, store, detector, limits, unfinished.parts)
        make_parts(unfinished, make, parts, executor, progress)
        with made_again_if_damaged(unfinished):
            tables = [read_table(unfinished.parts / part.name).cast(SCHEMA) for part in parts]
        about = {**attributes, **({"defaults": recorded()} if recorded() else {})}
        write_peaks(unfinished.made, pa.concat_tables(tables).combine_chunks(), about)
        unfinished.finish()
    return read_peaks(store)


def _attributes(store: Store, detector: Detector, limits: Limits) -> dict[str, Any]:
    """Return everything that decides the peaks, in JSON types."""
    return {
        "store_sha256": store.content_hash,
        **detector.describe(),
        "limits": asdict(limits),
        "ecgkit": __version__,
    }


def _remove_old_format(store: Store) -> None:
    """Remove unfinished work of earlier releases, which used one folder for each set of settings."""
    if not os.access(store.path, os.W_OK):
        return
    for folder in store.path.glob(f".{FOLDER}-*.partial"):
        shutil.rmtree(folder, ignore_errors=True)


def _useless(store: Store) -> bool:
    """Return whether the peaks of a store were found in other signals, or are damaged."""
    try:
        read_peaks(store)
    except StoreError:
        return True
    return False


def _kept(store: Store, attributes: dict[str, Any]) -> Peaks:
    """Return the peaks of a store, if they were found with the same detector and settings."""
    there = read_attributes(store)
    other = [name for name in attributes if there.get(name) != attributes[name]]
    if other:
        name = other[0]
        raise OutputError(
            f"{store.path} has R peaks that were found with {name} {there.get(name)}, not {attributes[name]}",
            remedy="Replace them with --overwrite.",
        )
    return read_peaks(store)


def _parts(store: Store) -> list[Part[tuple[int, int]]]:
    """Return blocks of records, given by their first record and the first record after them."""
    size = store.chunk_records * -(-BLOCK_RECORDS // store.chunk_records)
    blocks = [(start, min(start + size, len(store))) for start in range(0, len(store), size)]
    return [Part(_part_name(start), stop - start, (start, stop)) for start, stop in blocks]


def _part_name(start: int) -> str:
    return f"{start:09d}.parquet"


def _make_part(store: Store, detector: Detector, limits: Limits, folder: Path, block: tuple[int, int]) -> None:
    with whole_file(folder / _part_name(block[0])) as path:
        write_table(path, block_table(store, detector, limits, *block))


def block_table(store: Store, detector: Detector, limits: Limits, start: int, stop: int) -> pa.Table:
    """Return the table of peaks of records `start` to `stop`, one row per record."""
    records = store.table[["record_id", "fs", "samples"]].iloc[start:stop]
    found = find_in_block(store, detector, start, stop)
    rates, lengths = records["fs"].tolist(), records["samples"].tolist()
    flags = [
        why or limits.flag(peaks, fs, samples) for (peaks, why), fs, samples in zip(found, rates, lengths, strict=True)
    ]
    columns = [records["record_id"].tolist(), [peaks.astype(np.int32) for peaks, _ in found], flags]
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def find_in_block(store: Store, detector: Detector, start: int, stop: int) -> list[Found]:
    """Find the peaks of records `start` to `stop`. Records of one rate, length and lead set go together."""
    return [found for span in store.spans(start, stop) for found in _find(store, detector, *span)]


def _find(store: Store, detector: Detector, start: int, stop: int) -> list[Found]:
    block = store.signals(start, stop)
    records = store.table[["fs", "samples", "leads"]].iloc[start:stop]
    keys = list(zip(records["fs"], records["samples"], map(tuple, records["leads"]), strict=True))
    found: list[Found] = [(np.empty(0, np.int64), "")] * (stop - start)
    for key in dict.fromkeys(keys):
        fs, samples, have = key
        same = np.flatnonzero([other == key for other in keys])
        leads = detector.choose_leads(have)
        signal = block[same][:, [store.leads.index(lead) for lead in leads], : int(samples)]
        for row, result in zip(same, detector.find(signal, float(fs), leads), strict=True):
            found[row] = result if leads else (result[0], "none of the leads asked for")
    return found
