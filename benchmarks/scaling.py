"""Two processes on two cores against one process on one core: records a second of ST-MEM's steps, in turn.

    python benchmarks/scaling.py [--preset small --batch 16 --rounds 3]

Each process is bound to a core of its own and computes with one thread; the batch is the same, so two processes take
half of it each and add their gradients. The bar is 1.6.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from training import make_store


def rate(store: Path, run: Path, processes: int, options: argparse.Namespace) -> float:
    """Return the records a second of the last epoch of a training."""
    words = ["pretrain", "--method", "stmem", "--preset", options.preset, "--data", store, "--out", run]
    words += ["--epochs", 2, "--device", "cpu", "--set", f"recipe.batch_size={options.batch}"]
    words += ["--processes", processes] if processes > 1 else []
    cores = ",".join(map(str, sorted(os.sched_getaffinity(0))[:processes]))
    command = ["taskset", "-c", cores, sys.executable, "-m", "ecgkit", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return float(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["records_per_second"])


def main() -> None:
    """Time both in turn, so that a machine that drifts drifts for both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), options.records)
        pairs = [
            [rate(store, Path(folder) / f"{r}-{n}", n, options) for n in (1, 2)] for r in range(options.rounds + 1)
        ][1:]
    one, two = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"one process on one core     {one:8.1f} records/s")
    print(f"two processes on two cores  {two:8.1f} records/s")
    print(f"ratio                       {statistics.median(b / a for a, b in pairs):8.2f}")


if __name__ == "__main__":
    main()
