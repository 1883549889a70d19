"""Reading for training in shuffled order, one process: the memory-mapped view against reading the store itself.

    python benchmarks/reads.py [--records 1024] [--runs 3] [--from FOLDER] [--cpu]

Records of 12 x 5000 samples, 64 a batch, each record once a run; what is on disk is in the page cache. The ways take
turns, figures are medians; with `--cpu` in CPU time of this process, for a machine that others use too. The second
table is what each family's contract costs a batch, the third what is left of it for a loading process where a GPU does
the rest, and the fourth what a store's chunk size does; the format's was chosen by it.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from ingest import make_records

from ecgkit.entries import MethodEntry
from ecgkit.ingestion import ingest
from ecgkit.leads import STANDARD_LEADS
from ecgkit.methods import method_config
from ecgkit.plugins import host
from ecgkit.signal.spec import SignalSpec
from ecgkit.store import format as fmt
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.data import Windows

BATCH = 64


def batches(records: int) -> list[np.ndarray]:
    """Return all rows in a random order."""
    return np.split(np.random.default_rng().permutation(records), range(BATCH, records, BATCH))


def by_index(store: Store) -> int:
    """Read random records from the sharded array by fancy indexing, as a naive loader does."""
    array = zarr.open_array(store.path / "signal", mode="r")
    rows = batches(len(store))[:2]  # it is slow
    return sum(len(array.oindex[np.sort(part)]) for part in rows)


def by_chunk(store: Store) -> int:
    """Read whole chunks in random order, as a block shuffle does."""
    starts = np.random.default_rng().permutation(np.arange(0, len(store), store.chunk_records))
    return sum(len(store.stored(start, min(start + store.chunk_records, len(store)))) for start in starts)


def windows_of(store: Store, spec: SignalSpec) -> Windows:
    """Return what makes batches of a store, as a training does."""
    return Windows(open_view(store, spec), np.zeros(len(store), np.int64))


def reader(windows: Windows) -> Callable[[], int]:
    """Return what makes the batches of a whole store for a CPU."""
    return lambda: sum(len(windows[rows].signal) for rows in batches(len(windows.starts)))


def counts_reader(windows: Windows) -> Callable[[], int]:
    """Return what makes the batches of a whole store for a GPU, which scales and filters them."""

    def read() -> int:
        for rows in batches(len(windows.starts)):
            windows.counts(rows, held=False)
        return len(windows.starts)

    return read


def rates(ways: dict[str, Callable[[], int]], runs: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return records a second of each way by a clock, the median over runs in turn."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs + 1):  # the first one warms up
        for name, way in ways.items():
            began = clock()
            taken[name].append(way() / (clock() - began))
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def show(title: str, found: dict[str, float], base: str, notes: dict[str, str] | None = None) -> None:
    """Print records a second and their ratio to one of them."""
    print(f"\n{title:90s} {'records/s':>10s} {'x':>7s}")
    for name, rate in found.items():
        print(f"{name:90s} {rate:10.0f} {rate / found[base]:7.1f}  {(notes or {}).get(name, '')}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--from", dest="source", type=Path, help="real records of 12 x 5000 to link to, such as PTB-XL")
    parser.add_argument("--cpu", action="store_true", help="measure processor time, not the time that passes")
    options = parser.parse_args()
    clock = time.process_time if options.cpu else time.perf_counter
    zarr.config.set({"threading.max_workers": 1, "async.concurrency": 1})
    spec = SignalSpec(fs=500, seconds=10, leads=STANDARD_LEADS)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_records(folder, options.records, options.source)
        ingest(folder / "all", folder / "s.zarr")
        store = Store(folder / "s.zarr")
        view = open_view(store, spec)
        ways = {
            "zarr, random records": lambda: by_index(store),
            "store, whole chunks in random order": lambda: by_chunk(store),
            "view, random records": lambda: sum(len(view.signal[rows]) for rows in batches(len(store))),
            "view, cropped and scaled into a torch batch": reader(windows_of(store, spec)),
            "view, cropped into a batch of counts": counts_reader(windows_of(store, spec)),
        }
        show(f"{options.records} records of 12 x 5000", rates(ways, options.runs, clock), "zarr, random records")
        contracts = {entry.name: method_config(entry)[1].signal for entry in host().entries(MethodEntry).values()}
        made = {f"{name}: {contract}": windows_of(store, contract) for name, contract in contracts.items()}
        for title, way in (("torch batches by contract", reader), ("the same as counts, for a GPU", counts_reader)):
            found = rates({name: way(windows) for name, windows in made.items()}, options.runs, clock)
            show(title, found, next(iter(found)))
        sizes, notes = {}, {}
        for samples in (fmt._CHUNK_SAMPLES // 8, fmt._CHUNK_SAMPLES, fmt._CHUNK_SAMPLES * 8):
            fmt._CHUNK_SAMPLES = samples
            ingest(folder / "all", folder / f"{samples}.zarr")
            other = Store(folder / f"{samples}.zarr")
            sizes[f"{other.chunk_records} records a chunk"] = other
            packed = sum(file.stat().st_size for file in (other.path / "signal").rglob("0") if file.is_file())
            notes[f"{other.chunk_records} records a chunk"] = f"packed {len(other) * 120_000 / packed:.2f} x"
        chunked = rates({name: (lambda s=s: by_chunk(s)) for name, s in sizes.items()}, options.runs, clock)
        show("whole chunks in random order", chunked, next(iter(chunked)), notes)


if __name__ == "__main__":
    main()
