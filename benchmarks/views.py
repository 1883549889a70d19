"""Making a view: records a second in batches, as `open_view` does it, against one record after another.

    python benchmarks/views.py [--records 512] [--runs 3] [--from FOLDER]

Records of 12 x 5000 samples at 500 Hz. The ways take turns; figures are medians. One process, one thread.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from ingest import make_records

from ecgkit.ingestion import ingest
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec, window_of
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view

SPECS = {
    "500 Hz as stored": SignalSpec(fs=500, seconds=10),
    "250 Hz, fft": SignalSpec(fs=250, seconds=10),
    "100 Hz, fft": SignalSpec(fs=100, seconds=10),
    "100 Hz, poly": SignalSpec(fs=100, seconds=10, resample="poly"),
    "250 Hz, fft, band-pass": SignalSpec(fs=250, seconds=10, filter=Butterworth(), filter_first=True),
}


def one_by_one(store: Store, spec: SignalSpec, out: Path) -> None:
    """Read, window and save each record by itself."""
    out.mkdir()
    for row in range(len(store)):
        recording = store.recording(row)
        np.save(out / f"{row}.npy", window_of(recording.signal, recording.fs, spec)[0].astype(np.float32))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=512)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--from", dest="source", type=Path, help="real records of 12 x 5000 to link to, such as PTB-XL")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_records(folder, options.records, options.source)
        ingest(folder / "all", folder / "s.zarr")
        store = Store(folder / "s.zarr")
        print(f"{options.records} records of 12 x 5000, medians of {options.runs}")
        print(f"{'view':26s} {'records/s':>10s} {'one by one':>11s} {'ratio':>6s}")
        for name, spec in SPECS.items():
            took: dict[str, list[float]] = {"batched": [], "single": []}
            for _ in range(options.runs):
                shutil.rmtree(store.path / "views", ignore_errors=True)
                began = time.perf_counter()
                open_view(store, spec)
                took["batched"].append(time.perf_counter() - began)
                began = time.perf_counter()
                one_by_one(store, spec, folder / "single")
                took["single"].append(time.perf_counter() - began)
                shutil.rmtree(folder / "single")
            batched, single = (len(store) / statistics.median(took[key]) for key in ("batched", "single"))
            print(f"{name:26s} {batched:10.0f} {single:11.0f} {batched / single:6.1f}")


if __name__ == "__main__":
    main()
