"""The signatures of a whole store: made once, part by part, and kept in it as ``STORE/signatures/``.

They belong to the waveforms alone: a store whose labels were changed keeps them.
"""

import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit.config import fingerprint
from ecgkit.errors import StoreError
from ecgkit.executor import Executor
from ecgkit.parts import Part, make_parts
from ecgkit.progress import Advance
from ecgkit.signatures.bits import RATE, grid_points
from ecgkit.signatures.table import (
    SCHEMA,
    VERSION,
    Signatures,
    join,
    make_table,
    read_signatures,
    sign,
    write_signatures,
)
from ecgkit.store.pair import StorePair
from ecgkit.store.products import found_folder, own_folder
from ecgkit.store.reader import Store
from ecgkit.unfinished import Unfinished, whole_file

FOLDER = "signatures"
BLOCK_RECORDS = 512  # smallest number of records per part


def store_signatures(store: Store, progress: Advance | None = None, executor: Executor | None = None) -> Signatures:
    """Return the signatures of a store's records, and make them first if they are not there.

    Args:
        store: The store.
        progress: Called with records done and records in total.
        executor: Runs the work; None for this process.

    Raises:
        StoreError: A record is damaged.
        OutputError: They cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed; finished parts are kept.
    """
    if isinstance(store, StorePair):
        return join([store_signatures(one, progress, executor) for one in (store.first, store.other)], RATE)
    folder = own_folder(store.path, store.content_hash, FOLDER)
    unfinished = Unfinished(folder, FOLDER, overwrite=True, hidden=True, option="")
    unfinished.tidy()
    if there := _read(store):
        return there
    with unfinished.open(wait=True):
        if there := _read(store):  # another process has made them in the meantime
            return there
        size = store.chunk_records * -(-BLOCK_RECORDS // store.chunk_records)
        blocks = [(start, min(start + size, len(store))) for start in range(0, len(store), size)]
        parts = [Part(_part_name(start), stop - start, (start, stop)) for start, stop in blocks]
        unfinished.begin(fingerprint(store.content_hash, VERSION, blocks))
        make_parts(unfinished, partial(_make_part, store, unfinished.parts), parts, executor, progress)
        tables = [pq.read_table(unfinished.parts / part.name, schema=SCHEMA) for part in parts]
        made = Signatures(pa.concat_tables(tables) if tables else SCHEMA.empty_table())
        write_signatures(unfinished.made / _file_name(store), made)
        unfinished.finish()
    return made


def has_signatures(store: Store) -> bool:
    """Return whether the signatures of a store were made."""
    return (found_folder(store.path, store.content_hash, FOLDER) / _file_name(store)).is_file()


def _read(store: Store) -> Signatures | None:
    """Return the signatures of a store; None if they are absent, damaged, or of other records."""
    file = found_folder(store.path, store.content_hash, FOLDER) / _file_name(store)
    try:
        there = read_signatures(file) if file.is_file() else None
    except StoreError:
        return None  # they can be made again
    return there if there is not None and len(there) == len(store) else None


def _file_name(store: Store) -> str:
    waveforms = " ".join([VERSION, *store.table["sha256"]])
    return f"{hashlib.sha256(waveforms.encode()).hexdigest()[:16]}.parquet"


def _part_name(start: int) -> str:
    return f"{start:09d}.parquet"


def _make_part(store: Store, folder: Path, block: tuple[int, int]) -> None:
    tables = [_table_of(store, start, stop) for start, stop in store.spans(*block)]
    with whole_file(folder / _part_name(block[0])) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="none", use_dictionary=False)


def _table_of(store: Store, start: int, stop: int) -> pa.Table:
    """Return the signatures of records `start` to `stop`."""
    records = store.table[["record_id", "fs", "samples"]].iloc[start:stop]
    rates, lengths = records["fs"].to_numpy(np.float64), records["samples"].to_numpy(np.int64)
    signals = zip(store.signals(start, stop), rates, lengths, strict=True)
    columns = list(zip(*(sign(signal[:, :samples], store.leads, fs) for signal, fs, samples in signals), strict=True))
    points = [grid_points(int(samples), fs) for samples, fs in zip(lengths, rates, strict=True)]
    return make_table(records["record_id"].tolist(), points, columns)
