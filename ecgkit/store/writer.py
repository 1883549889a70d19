"""Write a part of a store: the records of one shard, their rows and quality, and the ledger.

One process writes a part. Each of its files appears complete: first the shard, the ledger and the quality, and last the
rows. A part whose rows exist is therefore done. A chunk is written as soon as it is full, so only one is in memory.
`ecgkit.store.assembly` joins the parts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgkit.leads import limb_lead_fault
from ecgkit.parquet import read_table, write_table
from ecgkit.recording import Recording
from ecgkit.signal.microvolts import decode
from ecgkit.signal.quality import FLAGS, MEASURES, Measures, flagged
from ecgkit.store import format as fmt
from ecgkit.store.chunk import Chunk
from ecgkit.store.quality import record_quality
from ecgkit.unfinished import whole_file

SHARD, ROWS, QUALITY, LEDGER = "shard", "rows.parquet", "quality.parquet", "ledger.parquet"


@dataclass(frozen=True)
class LedgerRow:
    """A record that could not be ingested.

    Args:
        record_id: Id of the record in the dataset.
        path: Path of the record, relative to the source folder.
        stage: Stage that failed: ``table``, ``header``, ``signal`` or ``leads``; ``dropped`` for an unwanted quality
            flag; ``folder`` for a folder that could not be entered, ``link`` for a link to one that is read anyway.
        reason: Reason, in words.
    """

    record_id: str
    path: str
    stage: str
    reason: str


def part_file(folder: Path, index: int, kind: str) -> Path:
    """Return the path of a part's file of one kind: `SHARD`, `ROWS`, `QUALITY` or `LEDGER`."""
    return folder / f"{index:06d}.{kind}"


@contextmanager
def open_part(layout: fmt.Layout, folder: Path, index: int, drop: Collection[str] = ()) -> Iterator["PartWriter"]:
    """Yield a writer for the records of one shard. The part is written when the block ends without an error.

    Args:
        layout: Layout of the store.
        folder: Folder for the parts.
        index: Number of the part.
        drop: Quality flags for which a record is left out.
    """
    with whole_file(part_file(folder, index, SHARD)) as path, path.open("wb") as shard:
        writer = PartWriter(layout, shard, index * layout.shard, drop)
        yield writer
        tables = writer.finish()
    for kind, table in tables.items():
        with whole_file(part_file(folder, index, kind)) as path:
            write_table(path, table)


class PartWriter:
    """Writer for the records of one shard, in order; see `open_part`.

    Args:
        layout: Layout of the store.
        shard: File for the chunks.
        first: Slot of the part's first record on the store's record axis.
        drop: Quality flags for which a record is left out.
    """

    def __init__(self, layout: fmt.Layout, shard: BinaryIO, first: int, drop: Collection[str]) -> None:
        self.layout = layout
        self.shard = shard
        self.first = first
        self.drop = tuple(drop)
        self._chunk = Chunk(layout)
        self._waiting: list[tuple[int, dict[str, Any]]] = []  # position in the chunk, and row
        self._slots = 0
        self._chunks = 0  # rows of chunks that are written
        self._sizes: list[int] = []  # bytes of each written chunk, 0 for an empty one
        self._rows: list[dict[str, Any]] = []
        self._quality: list[Measures] = []
        self._ledger: list[LedgerRow] = []

    def append(self, recording: Recording, row: Mapping[str, Any]) -> None:
        """Append one recording and its row of the record table, in the next slot.

        Args:
            recording: The recording. Its leads must be among the store's, and its length within the store's.
            row: Further columns: ids, labels, report and any other columns. Leads are put into the store's order.
        """
        place = self._slots % self.layout.chunk
        recording, clipped = recording.quantised()
        rows, order = _placing(recording.leads, self.layout.leads)
        self._chunk.put(place, rows, cast(NDArray[np.int16], recording.stored))
        columns = {
            **row,
            "slot": self.first + self._slots,
            "fs": float(recording.fs),
            "samples": recording.samples,
            "leads": [recording.leads[n] for n in order],
            "derived_leads": [lead for lead in self.layout.leads if lead in recording.derived],
            "source_leads": [recording.source_leads[n] for n in order] if recording.source_leads else [],
            "other_signals": list(recording.other),
            "unit": recording.unit,
            "clipped_samples": clipped,
            "rpeaks": None if recording.rpeaks is None else recording.rpeaks.astype(np.int32),
        }
        if recording.scaling is not None:
            scaling = recording.scaling.of(order)
            columns |= {fmt.STEPS: list(scaling.steps), fmt.OFFSETS: list(scaling.offsets)}
        self._waiting.append((place, columns))
        self._advance()

    def reject(self, row: LedgerRow, slots: int = 1) -> None:
        """Note a record that could not be ingested in the ledger; its slots stay empty."""
        self._ledger.append(row)
        for _ in range(slots):
            self._advance()

    def finish(self) -> dict[str, pa.Table]:
        """End the shard, and return the part's tables by kind, in the order in which they must be written."""
        self._flush()
        absent = [0] * (self.layout.shard // self.layout.chunk * self.layout.tiles - len(self._sizes))
        self.shard.write(fmt.shard_index([*self._sizes, *absent]))
        return {
            LEDGER: ledger_table(self._ledger),
            QUALITY: _quality_table(self._quality, self.layout.leads),
            ROWS: _table(self._rows),
        }

    def _advance(self) -> None:
        self._slots += 1
        if self._slots % self.layout.chunk == 0:
            self._flush()

    def _flush(self) -> None:
        """Judge the records of the current chunk, compress it and write it."""
        if self._slots == self._chunks * self.layout.chunk:
            return
        for place, row in self._judge() if self._waiting else []:
            leads = [self.layout.leads.index(lead) for lead in row["leads"]]
            signal = self._chunk.signal(place)
            row["sha256"] = fmt.waveform_hash(signal, leads, row["samples"], fmt.scaling_of(row))
            self._rows.append(row)
        for packed in self._chunk.packed():
            self.shard.write(packed)
            self._sizes.append(len(packed))
        self._chunks += 1
        self._chunk.clear()
        self._waiting = []

    def _judge(self) -> list[tuple[int, dict[str, Any]]]:
        """Measure the waiting records, flag them, and return the rows of those that are kept."""
        places, rows = [place for place, _ in self._waiting], [row for _, row in self._waiting]
        quality = record_quality(self._chunk.signals(places), self.layout.leads, rows)
        seconds = np.array([row["samples"] / row["fs"] for row in rows])
        flags = flagged(quality, seconds, np.array([row["unit"] == "mV" for row in rows]))
        found: dict[str, NDArray[np.bool_]] = {flag: np.any(leads, axis=1) for flag, leads in flags.items()}
        unwanted: NDArray[np.bool_] = np.zeros(len(rows), bool)
        for flag in self.drop:
            unwanted |= found[flag]
        for n, row in enumerate(rows):
            row["flags"] = [flag for flag in FLAGS if found[flag][n]]
            row["limb_fault"] = self._limb_fault(places[n], row) if found["limb-leads"][n] else None
            if unwanted[n]:
                self._chunk.drop(places[n])
                raised = {
                    flag: _chosen(self.layout.leads, flags[flag][n]) for flag in row["flags"] if flag in self.drop
                }
                reason = "; ".join(f"flagged {flag} in {', '.join(leads)}" for flag, leads in raised.items())
                self._ledger.append(LedgerRow(row["record_id"], str(row.get("path", "")), "dropped", reason))
        self._quality.append({name: values[~unwanted] for name, values in quality.items()})
        return [waiting for waiting, out in zip(self._waiting, unwanted, strict=True) if not out]

    def _limb_fault(self, place: int, row: Mapping[str, Any]) -> str | None:
        """Return the fault of a record's limb leads, if there is one."""
        rows = [self.layout.leads.index(lead) for lead in row["leads"]]
        stored = self._chunk.signal(place)[rows, : row["samples"]]
        return str(limb_lead_fault(decode(stored, scaling=fmt.scaling_of(row)), row["leads"])) or None


@lru_cache(maxsize=256)
def _placing(leads: tuple[str, ...], axis: tuple[str, ...]) -> tuple[slice | list[int], list[int]]:
    """Return the rows of leads on an axis (a slice if they are consecutive), and the order that sorts the leads."""
    rows = [axis.index(lead) for lead in leads]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    together = rows == list(range(rows[0], rows[0] + len(rows)))
    return slice(rows[0], rows[0] + len(rows)) if together else rows, order


def ledger_table(rows: Sequence[LedgerRow]) -> pa.Table:
    """Return ledger rows as a table of texts."""
    columns = list(LedgerRow.__annotations__)
    return pa.table({name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in columns})


def read_ledger(path: Path) -> list[LedgerRow]:
    """Read the ledger of a part."""
    return [LedgerRow(**row) for row in read_table(path).to_pylist()]


def _chosen(leads: Sequence[str], chosen: NDArray[np.bool_]) -> list[str]:
    return [lead for lead, yes in zip(leads, chosen, strict=True) if yes]


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table. A column that a row lacks is empty in that row."""
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([row.get(name) for row in rows], from_pandas=True) for name in names})


def _quality_table(chunks: Sequence[Measures], leads: Sequence[str]) -> pa.Table:
    """Return measures as a table with one column per measure and lead, such as ``flat V3``."""
    none = np.empty((0, len(leads)), np.float32)
    columns = {name: np.concatenate([none, *(chunk[name] for chunk in chunks)]).T.copy() for name in MEASURES}
    named = {f"{name} {lead}": row for name, values in columns.items() for lead, row in zip(leads, values, strict=True)}
    return pa.table({name: pa.array(row) for name, row in named.items()})
