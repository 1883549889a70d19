"""How long the page of `ecgkit browse` takes to open, by the number of records, and how long its searches take.

    python benchmarks/browse.py OUT [--records 800 800000]

It simulates and ingests 200 records once. A store of N records then has these records again and again, each row with
an id of its own, and shares their signals, so only the record table is long. For each store, the program is started as
a user starts it; measured are the time to its address, to the first page of the table, to the first picture, and until
the whole record table is read, then searches.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ecgkit.ingestion import ingest
from ecgkit.simulate import simulate_cohort
from ecgkit.store.format import RECORDS, file_hash

POOL = 200
SEARCHES = (
    {"where": "age > 60 and fold = 10"},
    {"label": "426177001"},
    {"label": "426177001", "flag": "flat"},
    {"text": "bundle branch block"},
)


def multiply(store: Path, out: Path, records: int) -> None:
    """Write a store of `records` rows that shares the signals of another."""
    out.mkdir()
    shutil.copy(store / "zarr.json", out)
    (out / "signal").symlink_to((store / "signal").absolute())
    table = pq.read_table(store / RECORDS)
    table = table.take(pa.array(np.arange(records) % table.num_rows))
    ids = pa.array([f"r{i:07d}" for i in range(records)])
    reports = pa.array([f"{text}\nNo. {i}" for i, text in enumerate(table["report"].to_pylist())])
    for name, column in (("record_id", ids), ("report", reports)):  # so that neither packs into a few values
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, out / RECORDS)
    about = json.loads((out / "zarr.json").read_text())
    about["attributes"] |= {"records": records, "records_sha256": file_hash(out / RECORDS)}
    (out / "zarr.json").write_text(json.dumps(about))


def asked(address: str) -> float:
    """Return the seconds until an answer has arrived."""
    began = time.perf_counter()
    with urllib.request.urlopen(address, timeout=300) as answer:
        answer.read()
    return time.perf_counter() - began


def measure(store: Path) -> None:
    """Start the program on a store and print how long everything takes."""
    began = time.perf_counter()
    command = [sys.executable, "-P", "-m", "ecgkit", "browse", str(store), "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout is not None
    found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stdout)))
    ready = time.perf_counter() - began
    api = f"{found[0]}api/"
    table, picture, whole = asked(f"{api}records"), asked(f"{api}records/0/picture"), asked(f"{api}choices")
    print(
        f"{store.name:24s} address {ready:5.2f} s   first page {table:5.3f} s   first picture {picture:5.3f} s   "
        f"whole table and filters {whole:5.2f} s",
        flush=True,
    )
    for search in SEARCHES:
        text = " ".join(f"{name}={value}" for name, value in search.items())
        print(f"    {text:40s} {asked(f'{api}records?{urllib.parse.urlencode(search)}'):6.3f} s", flush=True)
    stopping = time.perf_counter()
    process.send_signal(signal.SIGINT)
    process.wait(30)
    print(f"    Ctrl-C {time.perf_counter() - stopping:.2f} s")


def main() -> None:
    """Make the stores and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, nargs="+", default=[800, 800_000])
    given = parser.parse_args()
    source, pool = given.out / "cohort", given.out / "pool.zarr"
    if not pool.exists():
        simulate_cohort(source, records=POOL, seed=0)
        ingest(source, pool)
    for records in given.records:
        store = given.out / f"{records}.zarr"
        if not store.exists():
            multiply(pool, store, records)
        measure(store)


if __name__ == "__main__":
    main()
