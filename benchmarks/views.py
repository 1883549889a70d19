"""Making a view: records a second in batches, as `open_view` does it, against one record after another.

    python benchmarks/views.py [--records 512] [--runs 3] [--from FOLDER] [--cpu]
    python benchmarks/views.py --stream [--records 512] [--copies 16] [--runs 3] [--from FOLDER]

Records of 12 x 5000 samples at 500 Hz. The ways take turns; figures are medians, with ``--cpu`` in CPU time of this
process, for a machine that others use too. One process, one thread.

With ``--stream`` it measures reading instead: the batches of a streamed epoch, each record compared with its checksum,
against the same file read from its first byte to its last. Both begin with a file of which the system holds nothing in
memory, and then with one that it holds whole. The records are repeated to make the view large.
"""

import argparse
import ctypes
import gc
import mmap
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from ingest import make_records
from numpy.lib.format import open_memmap

from ecgkit.ingestion import ingest
from ecgkit.recipe import Recipe
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.reader import Store
from ecgkit.store.view_rows import VerifiedRows
from ecgkit.store.views import View, open_view
from ecgkit.training import streaming
from ecgkit.training.data import AsCounts, Epochs, loader
from ecgkit.training.plan import Plan
from ecgkit.training.read_ahead import ReadAhead
from ecgkit.training.streaming import Stream

SPECS = {
    "500 Hz as stored": SignalSpec(fs=500, seconds=10),
    "250 Hz, fft": SignalSpec(fs=250, seconds=10),
    "100 Hz, fft": SignalSpec(fs=100, seconds=10),
    "100 Hz, poly": SignalSpec(fs=100, seconds=10, resample="poly"),
    "250 Hz, fft, band-pass": SignalSpec(fs=250, seconds=10, filter=Butterworth(), filter_first=True),
}


def one_by_one(store: Store, spec: SignalSpec, out: Path) -> None:
    """Window and save each record by itself. Chunks are read whole, or reading would take most of the time."""
    out.mkdir()
    rates, samples = store.table["fs"].to_numpy(), store.table["samples"].to_numpy()
    for start, stop in store.spans(0, len(store)):
        for row, signal in enumerate(store.signals(start, stop), start):
            np.save(out / f"{row}.npy", window_of(signal[:, : samples[row]], rates[row], spec)[0].astype(np.float32))


def forget(file: Path) -> None:
    """Make the system forget what it holds of a file."""
    with file.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rows_of(view: View) -> VerifiedRows:
    """Return the rows of a view that lies on a disk."""
    assert isinstance(view.signal, VerifiedRows)
    return view.signal


def enlarge(view: View, folder: Path, copies: int) -> None:
    """Write the file of a view with each record repeated."""
    rows = rows_of(view)
    records = open_memmap(folder / "signal.npy", "w+", rows.records.dtype, (copies * len(rows),))
    for first in range(0, len(records), len(rows)):
        records[first : first + len(rows)] = rows.records
    records.flush()
    os.sync()


def enlarged(view: View, folder: Path, copies: int) -> View:
    """Open the view with each record repeated; nothing of it is mapped yet."""
    rows = rows_of(view)
    lengths, checksums = np.tile(rows.lengths, copies), np.tile(rows.checksums, copies)
    large = VerifiedRows(folder, np.load(folder / "signal.npy", mmap_mode="r"), lengths, checksums)
    return View(view.spec, large, np.tile(view.present, (copies, 1)), lengths)


def in_memory(file: Path) -> float:
    """Return how much of a file the system holds in memory, as a share."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ) as pages:
        held = np.zeros(-(-len(pages) // mmap.PAGESIZE), np.uint8)
        start = np.frombuffer(pages, np.uint8).ctypes.data
        if ctypes.CDLL(None).mincore(
            ctypes.c_void_p(start), ctypes.c_size_t(len(pages)), held.ctypes.data_as(ctypes.c_void_p)
        ):
            raise OSError("mincore")
        return float((held & 1).mean())


def from_first_to_last(view: View) -> None:
    """Read a view's file from its first byte to its last, in large pieces, into the same memory again and again."""
    buffer = bytearray(4 * 2**20)
    with rows_of(view).file.open("rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass


def streamed(view: View) -> None:
    """Read the batches of an epoch as a training on a GPU does, without the training."""
    recipe = Recipe(epochs=1, batch_size=64)
    stream = Stream.of(view, recipe, 1)
    plan = Plan(view, np.arange(len(view.signal)), recipe, 0, stream=stream)
    ahead = ReadAhead(view, stream, plan.orders(0, 0))
    for _ in ahead.over(loader(AsCounts(Epochs(ahead.view, 0, {}), held=False), ahead.orders())):
        pass


def measure_stream(store: Store, folder: Path, copies: int, runs: int) -> None:
    """Print the rates of both ways by wall clock and by processor time, from the disk and from memory."""
    streaming.BUFFER = 64 * 2**20
    made = open_view(store, SPECS["500 Hz as stored"])
    enlarge(made, folder, copies)
    size = rows_of(enlarged(made, folder, copies)).nbytes / 1e6
    print(f"a view of {size:.0f} MB, buffer {streaming.BUFFER // 2**20} MiB, medians of {runs} runs in turn, in MB/s")
    print(f"{'from':8s} {'held before':>11s} {'way':>12s} {'rate':>7s} {'share':>6s} {'per core':>9s} {'share':>6s}")
    for cold in (True, False):
        took: dict[str, list[tuple[float, float]]] = {"sequential": [], "streamed": []}
        held = []
        ways = [("sequential", from_first_to_last), ("streamed", streamed)]
        for _ in range(runs):
            ways.reverse()  # neither is always the first
            for name, read in ways:
                gc.collect()  # pages that are still mapped would be kept
                if cold:
                    forget(folder / "signal.npy")
                held.append(in_memory(folder / "signal.npy"))
                view = enlarged(made, folder, copies)
                began, used = time.perf_counter(), time.process_time()
                read(view)
                took[name].append((time.perf_counter() - began, time.process_time() - used))
                del view
        rates = {name: size / np.median(times, axis=0) for name, times in took.items()}
        for name, (wall, core) in rates.items():
            wall_share, core_share = rates[name] / rates["sequential"]
            print(
                f"{'disk' if cold else 'memory':8s} {statistics.median(held):11.0%} {name:>12s} "
                f"{wall:7.0f} {wall_share:6.0%} {core:9.0f} {core_share:6.0%}"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stream", action="store_true", help="measure reading")
    parser.add_argument("--cpu", action="store_true", help="measure processor time, not the time that passes")
    parser.add_argument("--copies", type=int, default=16)
    parser.add_argument("--records", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--from", dest="source", type=Path, help="real records of 12 x 5000 to link to, such as PTB-XL")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_records(folder, options.records, options.source)
        ingest(folder / "all", folder / "s.zarr")
        store = Store(folder / "s.zarr")
        if options.stream:
            measure_stream(store, folder, options.copies, options.runs)
            return
        print(f"{options.records} records of 12 x 5000, medians of {options.runs}")
        print(f"{'view':26s} {'records/s':>10s} {'one by one':>11s} {'ratio':>6s}")
        for name, spec in SPECS.items():
            took: dict[str, list[float]] = {"batched": [], "single": []}
            for _ in range(options.runs):
                shutil.rmtree(store.path / "views", ignore_errors=True)
                began = clock()
                open_view(store, spec)
                took["batched"].append(clock() - began)
                began = clock()
                one_by_one(store, spec, folder / "single")
                took["single"].append(clock() - began)
                shutil.rmtree(folder / "single")
            batched, single = (len(store) / statistics.median(took[key]) for key in ("batched", "single"))
            print(f"{name:26s} {batched:10.0f} {single:11.0f} {batched / single:6.1f}")


if __name__ == "__main__":
    main()
