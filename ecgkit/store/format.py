"""Constants of the format: sizes of chunks and shards, compression, and the hash of a waveform."""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from ecgkit.signal.microvolts import MISSING

FORMAT = "ecgkit-store"
VERSION = 2
RECORDS, QUALITY, LEDGER = "records.parquet", "quality.parquet", "ledger.parquet"

# A chunk of about a million samples is read at full speed, and fits into a core's cache while it is written. Up to 32
# chunks, 64 MB before compression, make a shard: a file that one process writes once and completely. It is small enough
# that a few thousand records can be spread evenly over workers.
_CHUNK_SAMPLES = 1_000_000
_CHUNK_RECORDS = 64
_SHARD_CHUNKS = 32
_SHARD_SAMPLES = 32_000_000

# Of the fast compressors this one packs real ECGs best. Shuffling bytes beats shuffling bits here.
COMPRESSOR: Final = "lz4"
LEVEL: Final = 5
SHUFFLE: Final = "shuffle"
_NO_CHUNK = (2**64 - 1, 2**64 - 1)  # Zarr v3, "Sharding codec": offset and size of a missing chunk


@dataclass(frozen=True)
class Layout:
    """The shape of a store's signals. It is decided once and given to every process that writes a part.

    Args:
        leads: Canonical names of the lead axis; a record may lack some.
        samples: Length of the time axis, that of the longest record.
        chunk: Records per chunk, the unit of fast reading.
        shard: Records per shard, the unit of writing.
    """

    leads: tuple[str, ...]
    samples: int
    chunk: int
    shard: int

    @classmethod
    def of(cls, leads: tuple[str, ...], samples: int) -> "Layout":
        """Return the layout for records with these leads and at most this length."""
        size = len(leads) * samples
        chunk = min(_CHUNK_RECORDS, 1 << (max(1, _CHUNK_SAMPLES // size).bit_length() - 1))
        return cls(leads, samples, chunk, chunk * min(_SHARD_CHUNKS, max(1, _SHARD_SAMPLES // (chunk * size))))

    def empty_chunk(self) -> NDArray[np.int16]:
        """Return int16 ``[chunk, L, T]`` of missing samples."""
        return np.full((self.chunk, len(self.leads), self.samples), MISSING)


def pack_chunk(block: NDArray[np.int16]) -> bytes:
    """Compress a chunk as Zarr's Blosc codec does, in the calling thread only."""
    threads, blosc.use_threads = blosc.use_threads, False
    try:
        little = np.ascontiguousarray(block, "<i2")
        return bytes(blosc.compress(little, COMPRESSOR.encode(), LEVEL, blosc.SHUFFLE))
    finally:
        blosc.use_threads = threads


def shard_index(sizes: Sequence[int]) -> bytes:
    """Return the index that follows the chunks in a shard file: offset and size of each chunk, and a checksum.

    Zarr v3 core specification, "Sharding codec", with the index at the end. Writing shards this way takes a third of
    the time of Zarr's general writer; `tests/store/test_format.py` reads them back with Zarr.

    Args:
        sizes: Bytes of each of the shard's chunks in order, 0 for a missing chunk.
    """
    entries, offset = [], 0
    for size in sizes:
        entries.append((offset, size) if size else _NO_CHUNK)
        offset += size
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    return index + struct.pack("<I", google_crc32c.value(index))


def waveform_hash(stored: NDArray[np.int16], rows: Sequence[int], samples: int) -> str:
    """Return the SHA-256 of a record's samples, which identifies the same ECG in any store.

    Args:
        stored: int16 ``[L, T]``, as stored in a chunk.
        rows: Rows of the record's leads, in the record's own order.
        samples: Length of the record.
    """
    whole = samples == stored.shape[1] and list(rows) == list(range(len(stored)))  # the usual case: nothing is copied
    little = np.ascontiguousarray(stored if whole else stored[rows, :samples], "<i2")
    return hashlib.sha256(little.data).hexdigest()
