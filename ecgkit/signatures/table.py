"""Signatures of many records as a table, in memory and as a Parquet file.

Columns: ``record_id``; ``points``, the length of the record on the time grid; and for each of
`ecgkit.signatures.bits.LEADS` the packed bits of that lead, null if the record has none to recognise it by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ecgkit.errors import StoreError
from ecgkit.signatures.bits import LEADS, RATE, THIN, lead_bits

SCHEMA = pa.schema([("record_id", pa.string()), ("points", pa.int64()), *((lead, pa.large_binary()) for lead in LEADS)])
VERSION = "1"  # of the signature itself; another version cannot be compared
_RATE, _VERSION = b"ecgkit.rate", b"ecgkit.signature"


@dataclass(frozen=True)
class Signatures:
    """Signatures of R records.

    Args:
        table: One row per record; see the module.
        rate: Points per second.
    """

    table: pa.Table
    rate: int = RATE

    def __len__(self) -> int:
        return len(self.table)

    @property
    def known(self) -> NDArray[np.bool_]:
        """``[R]``: whether a record has the signature of at least one lead."""
        columns = [np.asarray(self.table[lead].is_valid()) for lead in LEADS]
        known: NDArray[np.bool_] = np.logical_or.reduce(columns)
        return known

    def take(self, rows: NDArray[np.integer] | slice) -> "Signatures":
        """Return some of the records."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return Signatures(self.table.slice(start, stop - start), self.rate)
        return Signatures(self.table.take(pa.array(rows)), self.rate)

    def bits(self, lead: str) -> list[NDArray[np.uint8] | None]:
        """Return the bits of a lead, for each record uint8 ``[P]`` or None."""
        packed, points = self.table[lead].to_pylist(), self.table["points"].to_pylist()
        return [
            None if one is None else np.unpackbits(np.frombuffer(one, np.uint8), count=count)
            for one, count in zip(packed, points, strict=True)
        ]

    def thin(self) -> "Signatures":
        """Return every fourth bit of each record, for records that others are compared with."""
        columns = [
            [None if bits is None else np.packbits(bits[::THIN]).tobytes() for bits in self.bits(lead)]
            for lead in LEADS
        ]
        points = [-(-count // THIN) for count in self.table["points"].to_pylist()]
        return Signatures(make_table(self.table["record_id"].to_pylist(), points, columns), self.rate // THIN)


def sign(signal: NDArray[np.floating], leads: Sequence[str], fs: float) -> list[bytes | None]:
    """Return the packed bits of a record for each of `LEADS`; None for one that it lacks or that holds no signal.

    Args:
        signal: ``[L, T]``, in any unit. A missing sample is NaN.
        leads: Names of the L leads.
        fs: Sampling rate in Hz.
    """
    found = [lead_bits(signal[leads.index(lead)], fs) if lead in leads else None for lead in LEADS]
    return [None if bits is None else np.packbits(bits).tobytes() for bits in found]


def make_table(record_ids: Sequence[str], points: Sequence[int], columns: Iterable[Sequence[bytes | None]]) -> pa.Table:
    """Return the table of some records.

    Args:
        record_ids: Their ids.
        points: Their lengths on the time grid.
        columns: Packed bits of each record, for each of the leads.
    """
    values = [record_ids, points, *columns]
    return pa.table([pa.array(list(v), f.type) for v, f in zip(values, SCHEMA, strict=True)], SCHEMA)


def join(parts: Sequence[Signatures], rate: int) -> Signatures:
    """Return the signatures of several tables of one rate, one after the other."""
    tables = [part.table for part in parts]
    return Signatures(pa.concat_tables(tables) if tables else SCHEMA.empty_table(), rate)


def write_signatures(path: Path, signatures: Signatures) -> None:
    """Write signatures into a Parquet file. Equal signatures give equal bytes."""
    about = {_RATE: str(signatures.rate).encode(), _VERSION: VERSION.encode()}
    # Bits of a filtered signal are as good as random: compression would only cost time.
    pq.write_table(signatures.table.replace_schema_metadata(about), path, compression="none", use_dictionary=False)


def read_signatures(path: Path) -> Signatures | None:
    """Read a file of signatures; None if it was made by a version whose signatures cannot be compared with these.

    Raises:
        StoreError: The file is damaged.
    """
    try:
        table = pq.read_table(path, partitioning=None)
        about = table.schema.metadata or {}
        if about.get(_VERSION, b"").decode() != VERSION:
            return None
        return Signatures(table.replace_schema_metadata(None).cast(SCHEMA), int(about[_RATE]))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({type(error).__name__})", "a file of signatures") from None
