"""The numbers of the format: how large chunks and shards are, how they are packed, and a waveform's hash."""

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

# A chunk of about a million samples is read contiguously at full speed, and fits in a core's cache while it is written.
# Up to 32 chunks, 64 MB before compression, make a shard: a file that one process writes, once and whole; small enough
# that a few thousand records are shared evenly.
_CHUNK_SAMPLES = 1_000_000
_CHUNK_RECORDS = 64
_SHARD_CHUNKS = 32
_SHARD_SAMPLES = 32_000_000

# Of the fast compressors the one that packs real ECGs best; bytes shuffled, which here beats shuffled bits.
COMPRESSOR: Final = "lz4"
LEVEL: Final = 5
SHUFFLE: Final = "shuffle"
_NO_CHUNK = (2**64 - 1, 2**64 - 1)  # Zarr v3, "Sharding codec": offset and size of a chunk that is not there


@dataclass(frozen=True)
class Layout:
    """The shape of a store's signals. It is decided once and handed to every process that writes a part.

    Args:
        leads: Canonical names of the lead axis; a record may lack some.
        samples: Length of the time axis, the longest record's.
        chunk: Records a chunk: the unit in which reading is fast.
        shard: Records a shard: the unit in which a store is written.
    """

    leads: tuple[str, ...]
    samples: int
    chunk: int
    shard: int

    @classmethod
    def of(cls, leads: tuple[str, ...], samples: int) -> "Layout":
        """Return the layout for records of these leads and at most this length."""
        size = len(leads) * samples
        chunk = min(_CHUNK_RECORDS, 1 << (max(1, _CHUNK_SAMPLES // size).bit_length() - 1))
        return cls(leads, samples, chunk, chunk * min(_SHARD_CHUNKS, max(1, _SHARD_SAMPLES // (chunk * size))))

    def empty_chunk(self) -> NDArray[np.int16]:
        """Return int16 ``[chunk, L, T]`` of missing samples."""
        return np.full((self.chunk, len(self.leads), self.samples), MISSING)


def pack_chunk(block: NDArray[np.int16]) -> bytes:
    """Compress a chunk as Zarr's Blosc codec does, in this thread alone."""
    threads, blosc.use_threads = blosc.use_threads, False
    try:
        little = np.ascontiguousarray(block, "<i2")
        return bytes(blosc.compress(little, COMPRESSOR.encode(), LEVEL, blosc.SHUFFLE))
    finally:
        blosc.use_threads = threads


def shard_index(sizes: Sequence[int]) -> bytes:
    """Return what follows the chunks in a shard file: each one's offset and size, and a checksum of these.

    Zarr v3 core specification, "Sharding codec", with the index at the end. Writing shards this way costs a third of
    what Zarr's own general path does; `tests/store/test_format.py` reads them back with Zarr.

    Args:
        sizes: Bytes of each of the shard's chunks in order, 0 for one that is not there.
    """
    entries, offset = [], 0
    for size in sizes:
        entries.append((offset, size) if size else _NO_CHUNK)
        offset += size
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    return index + struct.pack("<I", google_crc32c.value(index))


def waveform_hash(stored: NDArray[np.int16], rows: Sequence[int], samples: int) -> str:
    """Return the SHA-256 of a record's samples, by which the same ECG is known anywhere.

    Args:
        stored: int16 ``[L, T]``, as it lies in a chunk.
        rows: Rows of the record's leads, in its own order.
        samples: Its length.
    """
    whole = samples == stored.shape[1] and list(rows) == list(range(len(stored)))  # most often: then nothing is copied
    little = np.ascontiguousarray(stored if whole else stored[rows, :samples], "<i2")
    return hashlib.sha256(little.data).hexdigest()
