"""The numbers of the format: how amplitudes become int16 and back, and how large chunks and shards are."""

import hashlib

import numpy as np
from numpy.typing import NDArray

FORMAT = "ecgkit-store"
VERSION = 1
MISSING = np.int16(-32768)
UNITS_PER_MV = 1000.0  # microvolts; thousandths of the source's unit where it has no physical one
LIMIT = 32767

# A chunk of about a million samples is read contiguously at full speed; up to 64 chunks, 128 MB, make a shard, which is
# held in memory while it is written.
_CHUNK_SAMPLES = 1_000_000
_CHUNK_RECORDS = 64
_SHARD_CHUNKS = 64
_SHARD_SAMPLES = 64_000_000


def encode(signal: NDArray[np.floating]) -> tuple[NDArray[np.int16], int]:
    """Turn mV into stored microvolts.

    Args:
        signal: Any shape, in mV; NaN where a sample is missing.

    Returns:
        The int16 samples, rounded to the nearest, `MISSING` for NaN; and how many samples lay outside the range
        of +-32.767 mV and were cut to it.
    """
    scaled = np.rint(np.asarray(signal, np.float64) * UNITS_PER_MV)
    clipped = int(np.count_nonzero(np.abs(scaled) > LIMIT))  # NaN compares false
    stored = np.clip(scaled, -LIMIT, LIMIT)
    return np.where(np.isfinite(scaled) | np.isinf(scaled), stored, float(MISSING)).astype(np.int16), clipped


def decode(stored: NDArray[np.int16]) -> NDArray[np.float32]:
    """Turn stored microvolts into mV, NaN where a sample is missing."""
    signal = stored.astype(np.float32) / np.float32(UNITS_PER_MV)
    signal[stored == MISSING] = np.nan
    return signal


def chunk_and_shard(leads: int, samples: int) -> tuple[int, int]:
    """Return how many records a chunk and a shard hold, for records of ``[leads, samples]``."""
    fitting = max(1, _CHUNK_SAMPLES // max(1, leads * samples))
    chunk = min(_CHUNK_RECORDS, 1 << (fitting.bit_length() - 1))
    shard_chunks = min(_SHARD_CHUNKS, max(1, _SHARD_SAMPLES // (chunk * leads * samples)))
    return chunk, chunk * shard_chunks


def waveform_hash(stored: NDArray[np.int16]) -> str:
    """Return the SHA-256 of a record's stored samples ``[L, T]``, by which the same ECG is known anywhere."""
    return hashlib.sha256(np.ascontiguousarray(stored, dtype="<i2").tobytes()).hexdigest()
