"""Opening a store whose record table has many columns, as one that was joined with PTB-XL+ has: time and memory.

    python benchmarks/wide_table.py [--records 20000] [--columns 1400] [--runs 3]

The records of a small simulated store are listed again and again, without and with so many columns of numbers. Each
store is opened in a process of its own, which then reads what a training asks for first, or all columns. Times are CPU
time, medians of the runs; memory is what the process holds more at the end than after its imports.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit.ingestion import ingest
from ecgkit.leads import STANDARD_LEADS
from ecgkit.simulate import simulate_cohort
from ecgkit.store import format as fmt
from ecgkit.store.reader import Store

SIMULATED = 100
GROUP = 512  # rows that an ingest of 12 x 5000 samples writes at a time


def widen(store: Path, out: Path, records: int, columns: int) -> None:
    """Write a store that lists the records of another again and again, with more columns."""
    out.mkdir()
    for name in ("signal", fmt.QUALITY, fmt.LEDGER):
        os.symlink(store / name, out / name)
    own, rng = pq.read_table(store / fmt.RECORDS), np.random.default_rng(0)
    groups = [np.arange(first, min(first + GROUP, records)) for first in range(0, records, GROUP)]
    writer = None
    for rows in groups:
        table = own.take(pa.array(rows % len(own)))
        table = table.set_column(table.column_names.index("record_id"), "record_id", pa.array(map(str, rows)))
        for number in range(columns):
            values = pa.array(np.round(rng.normal(100, 20, len(rows)), 2))
            table = table.append_column(f"feature_{number:04d}", values)
        writer = writer or pq.ParquetWriter(out / fmt.RECORDS, table.schema, write_page_checksum=True)
        writer.write_table(table)
    assert writer is not None
    writer.close()
    meta = json.loads((store / fmt.META).read_text())
    meta["attributes"] |= {"records": records, "records_sha256": fmt.file_hash(out / fmt.RECORDS)}
    (out / fmt.META).write_text(json.dumps(meta))


def resident() -> float:
    """Return the memory of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def open_here(path: Path, reads_all: bool) -> None:
    """Open a store in this process and print CPU seconds and MB as JSON."""
    before, began = resident(), time.process_time()
    store = Store(path)
    store.present(STANDARD_LEADS)
    store.table[["fold", "patient_id", "labels", "fs", "samples"]]
    if reads_all:
        store.table.frame()
    print(json.dumps([time.process_time() - began, resident() - before]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=1400)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--all", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        open_here(options.open, options.all)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        simulate_cohort(folder / "cohort", records=SIMULATED, seed=0)
        ingest(folder / "cohort", folder / "small.zarr")
        for columns in (0, options.columns):
            widen(folder / "small.zarr", folder / f"{columns}.zarr", options.records, columns)
        ways = [("0.zarr", ()), (f"{options.columns}.zarr", ()), (f"{options.columns}.zarr", ("--all",))]
        runs: dict[tuple[str, tuple[str, ...]], list[list[float]]] = {way: [] for way in ways}
        for _ in range(options.runs):
            for way, found in runs.items():
                command = [sys.executable, __file__, "--open", str(folder / way[0]), *way[1]]
                found.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"{options.records:,} records, medians of {options.runs}")
        for (name, how), found in runs.items():
            size = (folder / name / fmt.RECORDS).stat().st_size / 1e6
            seconds, memory = (statistics.median(values) for values in zip(*found, strict=True))
            what = f"{name.removesuffix('.zarr')} more columns, {'all are read' if how else 'opened'}"
            print(f"{what:40s} file {size:7.1f} MB  CPU {seconds:6.2f} s  memory {memory:7.0f} MB")


if __name__ == "__main__":
    main()
