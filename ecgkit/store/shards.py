"""Reads chunks of a store's signals directly from its shard files; see `ecgkit.store.format.shard_index`.

Zarr's general reader takes several times as long for a chunk as its decompression. It still reads stores of any other
layout, such as those with long records.

Zarr v3 core specification, "Sharding codec", with the index at the end.
"""

import os
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from ecgkit.signal.microvolts import MISSING
from ecgkit.store.format import shard_path

ENTRY = 16  # bytes of the index per chunk: its offset and its size
CHECKSUM = 4  # bytes after the index
ABSENT = np.uint64(2**64 - 1)


class ShardReader:
    """See the module.

    Args:
        path: The store.
        array: Its signals, opened by Zarr: ``[slots, L, T]``.
    """

    def __init__(self, path: Path, array: Any) -> None:
        self.path = path
        self._file = (0, path / shard_path(0))  # the shard that was read last
        self.slots, self.leads, self.samples = array.shape
        self.chunk, self.shard = int(array.chunks[0]), int(array.shards[0])
        self.is_able = array.chunks[1:] == array.shape[1:] and _is_own(array.metadata.to_dict())

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return slots `start` to `stop`, int16 ``[n, L, T]``. A shard or a chunk that is absent holds no sample.

        Raises:
            ValueError, RuntimeError, OSError: The shard is damaged.
        """
        out = np.empty((stop - start, self.leads, self.samples), np.int16)
        at = start
        while at < stop:
            end = min(stop, (at // self.chunk + 1) * self.chunk)
            self._read_chunk(at // self.chunk, at % self.chunk, out[at - start : end - start])
            at = end
        return out

    def _read_chunk(self, number: int, first: int, out: NDArray[np.int16]) -> None:
        """Fill an array with the slots of a chunk from its slot `first` on."""
        packed = self._packed(number)
        if not packed:
            out[...] = MISSING
        elif len(out) == self.chunk:
            _unpack(packed, out)
        else:
            whole = np.empty((self.chunk, self.leads, self.samples), np.int16)
            _unpack(packed, whole)
            out[...] = whole[first : first + len(out)]

    def _packed(self, number: int) -> bytes:
        """Return the compressed bytes of a chunk; empty if it is absent."""
        chunks = self.shard // self.chunk
        if self._file[0] != number // chunks:
            self._file = number // chunks, self.path / shard_path(number // chunks)
        file = self._file[1]
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            return b""
        try:
            length, size = os.fstat(descriptor).st_size, chunks * ENTRY
            footer = os.pread(descriptor, size + CHECKSUM, max(0, length - size - CHECKSUM))
            if google_crc32c.value(footer[:size]) != int.from_bytes(footer[size:], "little"):
                raise ValueError(f"the index of {file.name} differs from its checksum")
            offset, packed = np.frombuffer(footer, "<u8", 2 * chunks).reshape(-1, 2)[number % chunks]
            if offset == ABSENT:
                return b""
            found = os.pread(descriptor, int(packed), int(offset))
        finally:
            os.close(descriptor)
        if len(found) != packed:
            raise ValueError(f"chunk {number} is not complete")
        return found


def _unpack(packed: bytes, out: NDArray[np.int16]) -> None:
    """Decompress a chunk in the calling thread only."""
    threads, blosc.use_threads = blosc.use_threads, False
    try:
        if int.from_bytes(packed[4:8], "little") != out.nbytes:  # of Blosc's header
            raise ValueError("a chunk has another size than the others")
        blosc.decompress(packed, out)
    finally:
        blosc.use_threads = threads


def _is_own(metadata: dict[str, Any]) -> bool:
    """Return whether an array is stored as `ecgkit.store.writer` does it."""
    codecs = list(metadata["codecs"])
    if len(codecs) != 1 or codecs[0]["name"] != "sharding_indexed":
        return False
    inside = codecs[0]["configuration"]
    names = [[codec["name"] for codec in inside[part]] for part in ("codecs", "index_codecs")]
    little = all(inside[part][0]["configuration"]["endian"] == "little" for part in ("codecs", "index_codecs"))
    return names == [["bytes", "blosc"], ["bytes", "crc32c"]] and inside["index_location"] == "end" and little
