"""A large dataset, really ingested, viewed and sampled: rates, disk and memory.

    python benchmarks/scale.py OUT [--records 200000] [--workers 2] [--keep]

Records of 12 x 5000 samples in MIMIC-IV-ECG's layout: a simulated cohort of 500, each again and again under another
record and patient, rolled by another number of samples, so that no two waveforms are the same. Writing them is not
counted. A record takes about 120 kB of source, 65 of store and 24 of view; the source is deleted once it
is ingested. CPU is that of all processes of a stage, so it says something on a busy machine too.
"""

import argparse
import csv
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecgkit.executor import open_executor
from ecgkit.ingestion import ingest
from ecgkit.ingestion.part import warm_up
from ecgkit.signal.filters import Butterworth
from ecgkit.signal.spec import SignalSpec
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.training.data import Windows, evaluation_starts, loader

POOL, LEADS, SAMPLES, BATCH = 500, 12, 5000, 64
SPEC = SignalSpec(fs=100.0, seconds=10.0, filter=Butterworth(low=0.5, high=40.0, order=3), normalize="record-zscore")


def multiply(cohort: Path, out: Path, records: int) -> None:
    """Write `records` records from those of a cohort."""
    with (cohort / "record_list.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    pool = []
    for row in listed:
        header = (cohort / row["path"]).with_suffix(".hea").read_text()
        signal = np.fromfile((cohort / row["path"]).with_suffix(".dat"), "<i2").reshape(-1, LEADS)
        pool.append((row["path"].rsplit("/", 1)[-1], header, signal))
    out.mkdir(parents=True)
    with (out / "record_list.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, listed[0])
        table.writeheader()
        for n in range(records):
            name, header, signal = pool[n % len(pool)]
            study, rolled = str(40_000_000 + n), np.roll(signal, 1 + n // len(pool) * 7, axis=0)
            patient = str(10_000_000 + n // 5)
            path = f"files/p{patient[:4]}/p{patient}/s{study}/{study}"
            (out / path).parent.mkdir(parents=True)
            (out / path).with_suffix(".dat").write_bytes(rolled.tobytes())
            (out / path).with_suffix(".hea").write_text(_header(header.replace(name, study), rolled[0]))
            table.writerow({**listed[0], "subject_id": patient, "study_id": study, "file_name": study, "path": path})


def _header(text: str, first: np.ndarray) -> str:
    """Return a header with other first samples; rolling changes no checksum."""
    lines = text.split("\n")
    for lead, value in enumerate(first, 1):
        words = lines[lead].split()
        lines[lead] = " ".join([*words[:5], str(value), *words[6:]])
    return "\n".join(lines)


def size(path: Path) -> float:
    """Return the size of what lies below a path, in GB."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e9


def peak() -> float:
    """Return the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(what: str, records: int, work: Callable[[], object]) -> None:
    """Do something and print its rate."""
    began, used = time.perf_counter(), processor()
    work()
    took, cpu = time.perf_counter() - began, 1000 * (processor() - used) / records
    print(
        f"{what:32s} {records:>9,} records {took:7.1f} s {records / took:7.0f}/s  CPU {cpu:.3f} ms each  "
        f"peak {peak():,.0f} MB",
        flush=True,
    )


def processor() -> float:
    """Return the processor seconds of this process and of those it started that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def sample(view: View, rows: np.ndarray, workers: int) -> None:
    """Read records in this order as training does."""
    batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    for _ in loader(Windows(view, evaluation_starts(view, 0)), batches, workers):
        pass


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave store and view behind")
    given = parser.parse_args()
    source, path = given.out / "source", given.out / "large.zarr"
    if not source.exists():
        simulate_cohort(given.out / "cohort", records=POOL, seed=0)
        multiply(given.out / "cohort", source, given.records)
    print(f"source {size(source):.1f} GB, {given.workers} workers")

    def take() -> None:
        with open_executor(workers=given.workers, warm_up=warm_up) as executor:
            report = ingest(source, path, executor=executor)
        assert report.taken == given.records, report.rejected[:3]

    timed("ingest", given.records, take)
    shutil.rmtree(source)
    store = Store(path)
    print(f"store {size(path):.1f} GB")

    def look() -> None:
        with open_executor(workers=given.workers) as executor:
            open_view(store, SPEC, executor=executor)

    timed("view, 100 Hz, band-pass", given.records, look)
    view = open_view(store, SPEC)
    print(f"view {size(path / 'views'):.1f} GB")
    rows = np.random.default_rng(0).permutation(given.records)[: 64 * BATCH * 8]
    timed("shuffled batches, one process", len(rows), lambda: sample(view, rows, 0))
    timed("the same again, from memory", len(rows), lambda: sample(view, rows, 0))
    if not given.keep:
        shutil.rmtree(path)


if __name__ == "__main__":
    main()
