"""Constants of the format: sizes of chunks and shards, compression, and the hash of a waveform."""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from ecgkit.signal.microvolts import MISSING, Scaling

FORMAT = "ecgkit-store"
# A store whose leads are all in whole microvolts has the version that earlier releases can read.
VERSION, PLAIN_VERSION = 3, 2
# Columns of the record table, lists by lead; absent, or empty in a row, if all leads are in whole microvolts.
STEPS, OFFSETS = "amplitude_steps", "amplitude_offsets"
RECORDS, QUALITY, LEDGER = "records.parquet", "quality.parquet", "ledger.parquet"
META = "zarr.json"
NEW_RECORDS = ".records.new.parquet"  # the changed table of 'ecgkit relabel', while it replaces the earlier one
LOG = "changes.jsonl"  # one line per 'ecgkit relabel'

# A chunk of about a million samples is read at full speed, and fits into a core's cache while it is written. Up to 32
# chunks, 64 MB before compression, make a shard: a file that one process writes once and completely. It is small enough
# that a few thousand records can be spread evenly over workers.
_CHUNK_SAMPLES = 1_000_000
_CHUNK_RECORDS = 64
_SHARD_CHUNKS = 32
_SHARD_SAMPLES = 32_000_000
# If the longest record has more samples than this, or is longer than so many of the usual length, chunks are cut along
# time too: one long record must not make each short one slow to read, and a long one is read in stretches.
_WHOLE_SAMPLES, _WHOLE_USUAL = 4_000_000, 16
_INDEX_CHUNKS = 4096  # the index of a shard is read with every chunk

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
        tile: Samples per chunk. It is below `samples` only if a record is very long: then chunks hold a stretch of
            time, and those without a sample are not stored.
    """

    leads: tuple[str, ...]
    samples: int
    chunk: int
    shard: int
    tile: int

    @classmethod
    def of(cls, leads: tuple[str, ...], lengths: Mapping[int, int]) -> "Layout":
        """Return the layout for records with these leads.

        Args:
            leads: Canonical names of the lead axis.
            lengths: Number of records by their number of samples.
        """
        samples = max(lengths)
        tile = _tile(lengths, _CHUNK_SAMPLES // len(leads))
        if len(leads) * samples <= _WHOLE_SAMPLES and samples <= _WHOLE_USUAL * tile:
            tile = samples
        chunk = min(_CHUNK_RECORDS, 1 << (max(1, _CHUNK_SAMPLES // (len(leads) * tile)).bit_length() - 1))
        usual = samples if tile == samples else sum(T * n for T, n in lengths.items()) // sum(lengths.values())
        chunks = min(_SHARD_CHUNKS, _SHARD_SAMPLES // (chunk * len(leads) * usual), _INDEX_CHUNKS * tile // samples)
        return cls(leads, samples, chunk, chunk * max(1, chunks), tile)

    @property
    def tiles(self) -> int:
        """Number of chunks along the time axis."""
        return -(-self.samples // self.tile)

    def empty_chunk(self) -> NDArray[np.int16]:
        """Return int16 ``[chunk, L, tile]`` of missing samples."""
        return np.full((self.chunk, len(self.leads), self.tile), MISSING)


def _tile(lengths: Mapping[int, int], most: int) -> int:
    """Return the samples per chunk along time: those of the median record, but at most `most`."""
    ordered = sorted(lengths)
    reached = list(accumulate(lengths[length] for length in ordered))
    return max(1, min(ordered[bisect_left(reached, reached[-1] / 2)], most))


def shard_path(index: int) -> str:
    """Return the path of a shard's file in the store."""
    return f"signal/c/{index}/0/0"


def file_hash(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def waveform_hash(stored: NDArray[np.int16], rows: Sequence[int], samples: int, scaling: Scaling | None = None) -> str:
    """Return the SHA-256 of a record's samples, which identifies the same ECG in any store.

    Args:
        stored: int16 ``[L, T]``, as stored in a chunk.
        rows: Rows of the record's leads, in the record's own order.
        samples: Length of the record.
        scaling: What the counts of these leads stand for; None for whole microvolts. It is a part of the hash.
    """
    whole = samples == stored.shape[1] and list(rows) == list(range(len(stored)))  # the usual case: nothing is copied
    little = np.ascontiguousarray(stored if whole else stored[rows, :samples], "<i2")
    digest = hashlib.sha256(little.data)
    if scaling is not None:
        digest.update(np.array([scaling.steps, scaling.offsets], "<f8").tobytes())
    return digest.hexdigest()


def scaling_of(row: Mapping[str, Any]) -> Scaling | None:
    """Return what the counts of a record stand for, given its row of the record table; None for whole microvolts."""
    steps, offsets = row.get(STEPS), row.get(OFFSETS)
    return None if steps is None or offsets is None else Scaling(tuple(map(float, steps)), tuple(map(float, offsets)))
