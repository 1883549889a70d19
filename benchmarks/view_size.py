"""The size of a view beside the store that it was made from, and what packing it would save and cost.

    python benchmarks/view_size.py --from FOLDER [--fs 500] [--band-pass] [--runs 5]

FOLDER holds records that ingest reads, such as PTB-XL's `records500`. The view is that of 10 s at `--fs`. Each row of
the table is a way to keep the counts of a record. CPU is what it takes to get the counts of a random record back, in
microseconds, the best of the runs. A training on a CPU makes batches of floats of them, one on a GPU batches of counts.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numcodecs import blosc
from numpy.typing import NDArray

from ecgkit.ingestion import ingest
from ecgkit.signal.compact import CompactWindows
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.data import Windows

BATCH, BLOCK = 64, 128
COMPRESSORS = (("lz4", 5, blosc.SHUFFLE), ("lz4", 5, blosc.BITSHUFFLE), ("zstd", 1, blosc.BITSHUFFLE))


def least_width(counts: NDArray[np.int16], block: int) -> float:
    """Return bytes per record if every lead of `block` samples has its own offset and its least number of bits."""
    records, _, samples = counts.shape
    blocks = np.array_split(counts, range(block, samples, block), axis=2)
    bits = sum(
        (np.ceil(np.log2(part.max(2) - part.min(2).astype(np.int64) + 1)) * part.shape[2] + 24).sum() for part in blocks
    )
    return float(bits) / 8 / records


def cost(work: Callable[[], object], records: int, runs: int) -> float:
    """Return the CPU time of some work in microseconds per record, the best of the runs."""
    work()
    took = []
    for _ in range(runs):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return 1e6 * min(took) / records


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--fs", type=float, default=500)
    parser.add_argument("--band-pass", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    blosc.use_threads = False
    with tempfile.TemporaryDirectory() as scratch:
        ingest(options.source, Path(scratch) / "s.zarr")
        store = Store(Path(scratch) / "s.zarr")
        spec = SignalSpec(fs=options.fs, seconds=10)
        if options.band_pass:
            spec = SignalSpec(fs=options.fs, seconds=10, filter=Butterworth(), filter_first=True)
        measure(store, spec, options.runs)


def measure(store: Store, spec: SignalSpec, runs: int) -> None:
    """Print the table."""
    view = open_view(store, spec)
    assert isinstance(view.signal, CompactWindows)
    counts = np.ascontiguousarray(view.signal.records["counts"])
    R, L, W = counts.shape
    stored = sum(file.stat().st_size for file in (store.path / "signal").rglob("*") if file.is_file()) / R
    print(f"{R} records of {L} x {W}; a record of the store has {stored / 1e3:.1f} kB")
    print(f"{'way':34s} {'kB':>6s} {'of store':>9s} {'CPU (us)':>9s}")

    def show(way: str, size: float, work: Callable[[], object] | None, records: int = 0) -> None:
        spent = f"{cost(work, records, runs):9.1f}" if work else f"{'-':>9s}"
        print(f"{way:34s} {size / 1e3:6.1f} {size / stored:9.2f} {spent}", flush=True)

    rows = np.random.default_rng(0).permutation(R)
    batches = [rows[first : first + BATCH] for first in range(0, R, BATCH)]
    record = np.empty((L, W), np.int16)

    def copy() -> None:
        for row in rows:
            record[:] = counts[row]

    windows = Windows(view, np.zeros(R, np.int64))

    def unpack(packed: list[bytes]) -> None:
        for row in rows:
            blosc.decompress(packed[row], record)

    def floats() -> None:
        for some in batches:
            windows[some]

    def plain() -> None:
        for some in batches:
            windows.counts(some, held=False)

    show("int16, as views are", view.signal.nbytes / R, copy, R)
    for name, level, shuffle in COMPRESSORS:
        packed = [blosc.compress(signal, name.encode(), level, shuffle) for signal in counts]
        kind = "byte" if shuffle == blosc.SHUFFLE else "bit"
        show(f"{name} with {kind} shuffle, by record", sum(map(len, packed)) / R, partial(unpack, packed), R)
    for block in (W, BLOCK):
        show(f"least bits per lead and {block} samples", least_width(counts, block), None)
    of_floats, of_counts = cost(floats, R, runs), cost(plain, R, runs)
    print(f"batches made of int16, in us CPU per record: {of_floats:.1f} as floats, {of_counts:.1f} as counts")


if __name__ == "__main__":
    main()
