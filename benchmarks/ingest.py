"""Ingest: records a second and peak memory, against a plain loop of `wfdb.rdrecord` and `numpy.save`.

    python benchmarks/ingest.py [--records 2000] [--runs 3] [--from FOLDER]

Makes a folder of WFDB records of 12 x 5000 samples in format 16 at 500 Hz, whose signal files are hard links to those
of a few simulated ones, and takes it into a store in this process, in one worker process and in two; then by the
command, start and imports included. Each figure is the median over the runs, which take turns, so that a machine that
drifts drifts for all, and beside it stands the best run; imports and a first small ingest, which loads what is
compiled, are counted for the command alone. CPU is that of the process itself. Every process is held to one thread.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "BLOSC_NTHREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
DIFFERENT = 200
WARM = 600  # enough that two workers both get a share of the headers and a shard


def make_records(folder: Path, records: int, source: Path | None) -> None:
    """Write the headers of as many records, and link their signals to those of a few."""
    from ecgkit.simulate import simulate_cohort

    if source is None:
        source = folder / "simulated"
        simulate_cohort(source, records=DIFFERENT, seed=1)
    originals = [h for h in sorted(source.rglob("*.hea")) if h.read_text().split()[1:4] == ["12", "500", "5000"]]
    for name, count in (("all", records), ("warm", WARM)):
        for n in range(count):
            header = originals[n % len(originals)]
            out = folder / name / f"{n // 1000:03d}" / f"r{n:07d}.hea"
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(header.read_text().replace(header.stem, out.stem))
            os.link(header.with_suffix(".dat"), out.with_suffix(".dat"))


def plain_loop(source: Path, out: Path) -> None:
    """Read and save each record, as the notebooks of papers do."""
    import numpy as np
    import wfdb

    out.mkdir()
    for header in sorted(source.rglob("*.hea")):
        np.save(out / f"{header.stem}.npy", wfdb.rdrecord(str(header.with_suffix(""))).p_signal)


def measure_here(how: str, folder: Path) -> None:
    """Do it once in this process, and print seconds and peak memory as JSON."""
    import resource

    if how == "plain":
        plain_loop(folder / "warm", folder / "warm.npy")
        began, cpu = time.perf_counter(), time.process_time()
        plain_loop(folder / "all", folder / "out.npy")
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    elif how.startswith("command"):
        import shutil

        command = [shutil.which("ecgkit", path=Path(sys.executable).parent), "ingest", folder / "all"]
        began, cpu = time.perf_counter(), 0.0
        subprocess.run(
            [*command, "--out", folder / "out.zarr", "--workers", how[-1]], check=True, stdout=subprocess.DEVNULL
        )
        took = time.perf_counter() - began
    else:
        from ecgkit.executor import Executor, InProcess
        from ecgkit.ingestion import ingest

        at = processes(int(how)) if int(how) else Executor(InProcess(), lambda: 1)
        ingest(folder / "warm", folder / "warm.zarr", executor=at)
        began, cpu = time.perf_counter(), time.process_time()
        ingest(folder / "all", folder / "out.zarr", executor=at)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        at.pool.shutdown()
    print(json.dumps({"seconds": took, "cpu": cpu, "peak": _peaks(resource)}))


def processes(workers: int):
    """Return an executor of that many processes, of one too, which `open_executor` would not start."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from ecgkit.executor import Executor
    from ecgkit.ingestion.part import warm_up

    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=warm_up)
    for done in [pool.submit(time.sleep, 1) for _ in range(workers)]:  # so long that each call starts a process
        done.result()
    return Executor(pool, lambda: workers)


def _peaks(resource) -> tuple[float, float]:
    """Return the peak memory in MB of this process and of its largest child."""
    return tuple(resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def measure(how: str, folder: Path) -> dict:
    """Do it once in a fresh process."""
    command = [sys.executable, __file__, "--how", how, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | THREADS, check=True)
    for out in ("warm.npy", "out.npy", "warm.zarr", "out.zarr"):
        subprocess.run(["rm", "-rf", str(folder / out)], check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Time all in turn."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--from", dest="source", type=Path, help="real records of 12 x 5000 to link to, such as PTB-XL")
    parser.add_argument("--how", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.how:
        measure_here(options.how, options.folder)
        return
    ways = {
        "plain": "wfdb.rdrecord -> .npy",
        "0": "ecgkit, this process",
        "1": "ecgkit, 1 worker",
        "2": "ecgkit, 2 workers",
        "command 1": "the command, cold",
        "command 2": "the command, --workers 2",
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_records(folder, options.records, options.source)
        runs = {how: [] for how in ways}
        for _ in range(options.runs):
            for how, results in runs.items():
                results.append(measure(how, folder))
    seconds = {how: statistics.median(run["seconds"] for run in results) for how, results in runs.items()}
    print(f"{options.records} records of 12 x 5000, medians of {options.runs}")
    best = {how: min(run["seconds"] for run in results) for how, results in runs.items()}
    print(
        f"{'way':26s} {'records/s':>10s} {'best':>6s} {'x plain':>8s} {'x 1 worker':>11s} {'best':>5s}"
        f" {'CPU ms each':>12s} {'peak MB':>8s} {'of a worker':>12s}"
    )
    for how, name in ways.items():
        peak = [max(run["peak"][k] for run in runs[how]) for k in (0, 1)]
        rate, of_plain, of_one = (x / seconds[how] for x in (options.records, seconds["plain"], seconds["1"]))
        cpu = min(run["cpu"] for run in runs[how]) / options.records * 1e3
        own = "-" if how.startswith("command") else f"{peak[0]:.0f}"
        worker = "-" if how in ("plain", "0") else f"{peak[1]:.0f}"
        print(
            f"{name:26s} {rate:10.0f} {options.records / best[how]:6.0f} {of_plain:8.2f} {of_one:11.2f}"
            f" {best['1'] / best[how]:5.2f} {f'{cpu:.3f}' if cpu else '-':>12s} {own:>8s} {worker:>12s}"
        )


if __name__ == "__main__":
    main()
