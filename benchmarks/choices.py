"""What the store's format was chosen by: compressors, hashes, and who writes a shard; us a record of 12 x 5000.

    python benchmarks/choices.py FOLDER

FOLDER holds real WFDB records of 12 x 5000 samples in whole microvolts, such as PTB-XL. One thread; the best of five.
"""

import argparse
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import wfdb
import zarr
from numcodecs import blosc
from zarr.codecs import BloscCodec
from zarr.storage import MemoryStore

from ecgkit.leads import STANDARD_LEADS
from ecgkit.signal.quality import measure
from ecgkit.store import format as fmt

RECORDS, CHUNK = 128, 16


def best(work: Callable[[], object]) -> float:
    """Return us a record."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return 1e6 * min(taken) / RECORDS


def by_zarr(block: np.ndarray) -> None:
    """Write a shard as Zarr does."""
    array = zarr.create_array(
        MemoryStore({}),
        shape=block.shape,
        chunks=(CHUNK, *block.shape[1:]),
        shards=block.shape,
        dtype="int16",
        compressors=BloscCodec(cname=fmt.COMPRESSOR, clevel=fmt.LEVEL, shuffle=fmt.SHUFFLE),
    )
    array[:] = block


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    headers = [h for h in sorted(parser.parse_args().folder.rglob("*.hea")) if " 12 500 5000" in h.read_text()]
    signals = [wfdb.rdrecord(str(h.with_suffix("")), physical=False).d_signal.T for h in headers[:RECORDS]]
    block = np.ascontiguousarray(np.stack(signals), np.int16)
    chunks = [block[start : start + CHUNK] for start in range(0, RECORDS, CHUNK)]
    blosc.use_threads = False
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    for name, level in (("lz4", 1), ("lz4", 5), ("blosclz", 5), ("zstd", 1)):
        for shuffle, how in ((blosc.SHUFFLE, "bytes"), (blosc.BITSHUFFLE, "bits")):
            packed = [blosc.compress(chunk, name.encode(), level, shuffle) for chunk in chunks]
            cost = best(lambda n=name, k=level, s=shuffle: [blosc.compress(c, n.encode(), k, s) for c in chunks])
            share = sum(map(len, packed)) / block.nbytes
            print(f"{name} {level}, {how} shuffled{'':8s}".ljust(34), f"{cost:6.0f}   {share:.2f} of the size")
    for name in ("sha256", "blake2b", "sha1", "sha3_256"):
        print(name.ljust(34), f"{best(lambda n=name: [hashlib.new(n, r.data) for r in block]):6.0f}")
    print("a shard by hand".ljust(34), f"{best(lambda: [fmt.pack_chunk(chunk) for chunk in chunks]):6.0f}")
    print("a shard by Zarr".ljust(34), f"{best(lambda: by_zarr(block)):6.0f}")
    print("quality".ljust(34), f"{best(lambda: [measure(c, 500.0, STANDARD_LEADS) for c in chunks]):6.0f}")


if __name__ == "__main__":
    main()
