"""The numbers of the format: how large chunks and shards are, and the hash by which a waveform is known."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from ecgkit.signal.microvolts import LIMIT, MISSING, UNITS_PER_MV, decode, encode

__all__ = [
    "FORMAT", "LIMIT", "MISSING", "UNITS_PER_MV", "VERSION", "chunk_and_shard", "decode", "encode", "waveform_hash",
]  # fmt: skip

FORMAT = "ecgkit-store"
VERSION = 1

# A chunk of about a million samples is read contiguously at full speed; up to 64 chunks, 128 MB, make a shard, which is
# held in memory while it is written.
_CHUNK_SAMPLES = 1_000_000
_CHUNK_RECORDS = 64
_SHARD_CHUNKS = 64
_SHARD_SAMPLES = 64_000_000


def chunk_and_shard(leads: int, samples: int) -> tuple[int, int]:
    """Return how many records a chunk and a shard hold, for records of ``[leads, samples]``."""
    fitting = max(1, _CHUNK_SAMPLES // max(1, leads * samples))
    chunk = min(_CHUNK_RECORDS, 1 << (fitting.bit_length() - 1))
    shard_chunks = min(_SHARD_CHUNKS, max(1, _SHARD_SAMPLES // (chunk * leads * samples)))
    return chunk, chunk * shard_chunks


def waveform_hash(stored: NDArray[np.int16]) -> str:
    """Return the SHA-256 of a record's stored samples ``[L, T]``, by which the same ECG is known anywhere."""
    return hashlib.sha256(np.ascontiguousarray(stored, dtype="<i2").tobytes()).hexdigest()
