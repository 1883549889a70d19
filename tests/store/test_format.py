"""Shards are written by hand for speed; here Zarr itself writes the same ones."""

import numpy as np
import zarr
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from ecgkit.signal.microvolts import MISSING
from ecgkit.store import format as fmt


def test_a_shard_is_byte_for_byte_the_one_that_zarr_writes() -> None:
    rng = np.random.default_rng(0)
    block = rng.integers(-900, 900, (10, 3, 50)).astype(np.int16).cumsum(-1, dtype=np.int16)
    block[4:8] = MISSING  # the second chunk holds nothing
    files: dict = {}
    array = zarr.create_array(
        MemoryStore(files),
        shape=block.shape,
        chunks=(4, 3, 50),
        shards=(16, 3, 50),
        dtype="int16",
        fill_value=int(MISSING),
        compressors=BloscCodec(cname=fmt.COMPRESSOR, clevel=fmt.LEVEL, shuffle=fmt.SHUFFLE),
    )
    array[:] = block
    last = np.full((4, 3, 50), MISSING)
    last[:2] = block[8:]
    chunks = [fmt.pack_chunk(block[:4]), b"", fmt.pack_chunk(last), b""]
    ours = b"".join([*chunks, fmt.shard_index([len(chunk) for chunk in chunks])])
    assert ours == files["c/0/0/0"].to_bytes()
