"""Assemble the parts of a store: shards are moved into place, and tables are joined one part at a time.

Every file is written beside the store and then moved into it. Every step can be repeated, so the next process need not
know where an earlier one was killed.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit.atomic import MARKER
from ecgkit.parquet import as_frame, read_table, write_table
from ecgkit.signal.microvolts import MISSING, UNITS_PER_MV
from ecgkit.store import format as fmt
from ecgkit.store.writer import LEDGER, QUALITY, ROWS, SHARD, LedgerRow, ledger_table, part_file

KIND = "store"
SCRATCH = "joined"


@dataclass(frozen=True)
class Changes:
    """What changes in the tables of a store when its parts are joined.

    Args:
        folds: New folds by slot.
        dropped: Slots of records that are left out. Their samples stay in the shard, and nothing refers to them.
    """

    folds: Mapping[int, int] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()

    def apply(self, table: pa.Table) -> pa.Table:
        """Return a part's table of records with the changes."""
        if not len(table):
            return table
        slots = table["slot"].to_pylist()
        if any(slot in self.folds for slot in slots):
            folds = [self.folds.get(slot, fold) for slot, fold in zip(slots, table["fold"].to_pylist(), strict=True)]
            at = table.column_names.index("fold")
            table = table.set_column(at, "fold", pa.array(folds, table.schema.field("fold").type))
        return table.filter(self.kept(table)) if self.dropped else table

    def kept(self, table: pa.Table) -> pa.Array:
        """Return which records of a part's table are not left out."""
        return pa.array([slot not in self.dropped for slot in table["slot"].to_pylist()], pa.bool_())


NO_CHANGES = Changes()


def assemble(
    parts: Path,
    store: Path,
    layout: fmt.Layout,
    *,
    slots: int,
    rejected: Sequence[LedgerRow],
    attributes: Mapping[str, Any],
    changes: Changes = NO_CHANGES,
) -> str:
    """Assemble a store from finished parts. The parts are used up.

    Args:
        parts: Folder of the parts, numbered from 0.
        store: Folder of the store, in the same file system as the parts; it is created or completed.
        layout: Layout of the store.
        slots: Length of the record axis, including the slots of records that were left out.
        rejected: Ledger rows of records that belong to no part.
        attributes: Further attributes of the store.
        changes: What changes in the tables.

    Returns:
        The content hash of the store.
    """
    shards = range(-(-slots // layout.shard))
    for index in shards:
        shard = store / fmt.shard_path(index)
        shard.parent.mkdir(parents=True, exist_ok=True)
        if part_file(parts, index, SHARD).exists():
            os.replace(part_file(parts, index, SHARD), shard)
    records, content_hash = _join_tables(parts, store, shards, rejected, changes)
    is_plain = fmt.STEPS not in pq.read_schema(store / fmt.RECORDS).names
    described = {
        "format": fmt.FORMAT,
        "version": fmt.PLAIN_VERSION if is_plain else fmt.VERSION,
        **attributes,
        "records": records,
        "leads": list(layout.leads),
        "missing": int(MISSING),
        "scale": UNITS_PER_MV,
        "content_sha256": content_hash,
        "records_sha256": fmt.file_hash(store / fmt.RECORDS),
    }
    for name, data in {**_zarr_metadata(layout, slots, described), MARKER: f"{KIND}\n".encode()}.items():
        (parts / SCRATCH).write_bytes(data)
        os.replace(parts / SCRATCH, store / name)
    return content_hash


def _join_tables(
    parts: Path, store: Path, shards: Sequence[int], rejected: Sequence[LedgerRow], changes: Changes
) -> tuple[int, str]:
    """Write the store's tables; return the number of records and the content hash."""
    write_table(parts / LEDGER, ledger_table(rejected))
    rows, quality, ledger = ([part_file(parts, i, kind) for i in shards] for kind in (ROWS, QUALITY, LEDGER))
    _join([parts / LEDGER, *ledger], parts / SCRATCH, store / fmt.LEDGER)
    rows_of = dict(zip(quality, rows, strict=True))

    def without_dropped(table: pa.Table, file: Path) -> pa.Table:
        if not changes.dropped or not len(table):
            return table
        return table.filter(changes.kept(read_table(rows_of[file], ["slot"])))

    _join(quality, parts / SCRATCH, store / fmt.QUALITY, change=without_dropped)
    digest, records = hashlib.sha256(), 0

    def count(table: pa.Table) -> None:
        nonlocal records
        records += len(table)
        digest.update(json_lines(table))

    _join(rows, parts / SCRATCH, store / fmt.RECORDS, count, change=lambda table, _: changes.apply(table))
    return records, digest.hexdigest()


def _join(
    files: Sequence[Path],
    scratch: Path,
    out: Path,
    each: Callable[[pa.Table], None] | None = None,
    *,
    change: Callable[[pa.Table, Path], pa.Table] = lambda table, _: table,
) -> None:
    """Write the rows of all tables into one table, with the columns of all. One table is in memory at a time.

    Args:
        files: The tables.
        scratch: File to write first.
        out: Path to which `scratch` is renamed.
        each: Called with each table in its final columns.
        change: Returns what is written of a table and its file.
    """
    schemas = [pq.read_schema(file).remove_metadata() for file in files]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    with pq.ParquetWriter(scratch, schema, write_page_checksum=True) as writer:
        for file in files:
            own = change(read_table(file), file)
            table = pa.concat_tables([schema.empty_table(), own], promote_options="permissive")
            writer.write_table(table)
            if each:
                each(table)
    os.replace(scratch, out)


def json_lines(table: pa.Table) -> bytes:
    """Return rows of the record table as JSON lines, the text that a store's content hash is computed from.

    The waveforms are included through their own hashes.
    """
    return str(as_frame(table).to_json(orient="records", lines=True, date_format="iso")).encode()


def _zarr_metadata(layout: fmt.Layout, slots: int, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files that turn the shards into a Zarr array, by name."""
    import zarr  # slow to import, and workers do not need it
    from zarr.codecs import BloscCodec
    from zarr.storage import MemoryStore

    files: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(files), zarr_format=3, attributes=dict(attributes))
    group.create_array(
        "signal",
        shape=(slots, len(layout.leads), layout.samples),
        chunks=(layout.chunk, len(layout.leads), layout.tile),
        shards=(layout.shard, len(layout.leads), layout.tile * layout.tiles),
        dtype="int16",
        fill_value=int(MISSING),
        compressors=BloscCodec(cname=fmt.COMPRESSOR, clevel=fmt.LEVEL, shuffle=fmt.SHUFFLE),
        dimension_names=("record", "lead", "time"),
    )
    return {name: data.to_bytes() for name, data in files.items()}
