"""What the planning process of an ingest holds in memory, and how long it takes.

    python benchmarks/planning.py OUT [--records 100000]

A dataset in MIMIC-IV-ECG's layout, with its three tables in full and the headers of a simulated cohort of 500 records,
each of which many records name. A process plans 2,000 records and another plans all: the difference of their peak
memory, divided by the difference of their records, is what a record costs. Signals are not read.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from ecgkit.datasets.mimic_iv_ecg import INTERVALS, LINKS, MEASUREMENTS, RECORDS, STATEMENTS
from ecgkit.executor import open_executor
from ecgkit.ingestion import IngestOptions, find_dataset
from ecgkit.ingestion.plan import make_plan
from ecgkit.interrupt import Stop
from ecgkit.simulate import simulate_cohort

POOL, FEW = 500, 2_000
SAID = ("Sinus rhythm", "Left axis deviation", "Possible inferior infarct - age undetermined", "Abnormal ECG")


def write_tables(cohort: Path, records: int) -> None:
    """Replace the tables of a cohort by those of `records` records that name its headers."""
    with (cohort / RECORDS).open(newline="") as file:
        paths = sorted({row["path"] for row in csv.DictReader(file)})
    with (
        (cohort / RECORDS).open("w", newline="") as listed,
        (cohort / MEASUREMENTS).open("w", newline="") as measured,
        (cohort / LINKS).open("w", newline="") as linked,
    ):
        tables = [csv.writer(file) for file in (listed, measured, linked)]
        tables[0].writerow(["subject_id", "study_id", "file_name", "ecg_time", "path"])
        tables[1].writerow(["subject_id", "study_id", "cart_id", "ecg_time", *STATEMENTS, *INTERVALS])
        tables[2].writerow(["subject_id", "study_id", "waveform_path", "note_id", "note_seq", "charttime"])
        for n in range(records):
            patient, study, when = 10_000_000 + n // 5, 40_000_000 + n, f"21{n % 90 + 10}-01-01 10:{n % 60:02d}:00"
            path = paths[n % len(paths)]
            said = [*SAID[: n % 4 + 1], *[""] * 18][:18]
            tables[0].writerow([patient, study, study, when, path])
            tables[1].writerow(
                [patient, study, n % 999, when, *said, 800 + n % 300, 40, 150, 200, 300, 600, 45, -10, n]
            )
            tables[2].writerow([patient, study, path, f"{patient}-EK-{n}", n % 9, when])


def plan(folder: Path, workers: int) -> dict[str, float]:
    """Plan a dataset, and return its records, seconds, processor seconds and peak memory in kB."""
    began, stop = time.perf_counter(), Stop()
    with open_executor(workers) as executor:
        made = make_plan(find_dataset(folder), IngestOptions(), executor, stop)
        for index in range(made.parts):  # what is handed out, one after another
            made.part(index)
    took, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {"records": made.slots, "seconds": took, "cpu": sum(used[:2]), "kb": float(used.ru_maxrss)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        print(json.dumps(plan(given.out / "cohort", given.workers)))
        return
    if not (given.out / "cohort").exists():
        simulate_cohort(given.out / "cohort", records=POOL, seed=0)
    found = []
    for records in (FEW, given.records):
        write_tables(given.out / "cohort", records)
        command = [sys.executable, __file__, str(given.out), "--only", str(records), "--workers", str(given.workers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    few, all_ = found
    each = (all_["kb"] - few["kb"]) / (all_["records"] - few["records"])
    print(
        f"{all_['records']:,.0f} records: {all_['seconds']:.1f} s, CPU of the planning process "
        f"{1000 * all_['cpu'] / all_['records']:.3f} ms per record, peak {all_['kb'] / 1024:,.0f} MB, "
        f"{each:.3f} kB per record"
    )


if __name__ == "__main__":
    main()
