"""Two processes on two cores against one process on one core: records a second of ST-MEM's steps, in turn.

    python benchmarks/scaling.py [--preset small --batch 16 --rounds 3]

Each process is bound to a core of its own and computes with one thread. The batch is the same, so two processes take
half of it each and add their gradients. Two trainings of half the batch that know nothing of each other say what the
machine's two cores can do at most.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from training import make_store


def start(store: Path, run: Path, cores: Sequence[int], batch: int, preset: str) -> subprocess.Popen[bytes]:
    """Start a training with one process on each of the cores."""
    words = ["pretrain", "--method", "stmem", "--preset", preset, "--data", store, "--out", run]
    words += ["--epochs", 2, "--device", "cpu", "--set", f"recipe.batch_size={batch}"]
    words += ["--processes", len(cores)] if len(cores) > 1 else []
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-m", "ecgkit", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def rate(trainings: dict[Path, subprocess.Popen[bytes]]) -> float:
    """Wait for the trainings and return the records a second of their last epochs, added."""
    for training in trainings.values():
        if training.wait():
            raise SystemExit(f"a training ended with exit code {training.returncode}")
    last = [json.loads((run / "metrics.jsonl").read_text().splitlines()[-1]) for run in trainings]
    return sum(float(row["records_per_second"]) for row in last)


def main() -> None:
    """Time all in turn, so that a machine that drifts drifts for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    first, second = sorted(os.sched_getaffinity(0))[:2]
    ways = {"one": [[first]], "together": [[first, second]], "apart": [[first], [second]]}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), options.records)
        for turn in range(options.rounds + 1):
            for way, groups in ways.items():
                batch = options.batch // len(groups)
                runs = {Path(folder) / f"{turn}-{way}-{cores[0]}": cores for cores in groups}
                found = rate({run: start(store, run, cores, batch, options.preset) for run, cores in runs.items()})
                rates[way] += [found] if turn else []  # the first turn warms up
    print(f"one process on one core          {statistics.median(rates['one']):8.1f} records/s")
    print(f"two processes on two cores       {statistics.median(rates['together']):8.1f} records/s")
    print(f"two trainings, a core each       {statistics.median(rates['apart']):8.1f} records/s")
    for name, over in (("together", "one"), ("apart", "one"), ("together", "apart")):
        ratio = statistics.median(b / a for a, b in zip(rates[over], rates[name], strict=True))
        print(f"{name} over {over:25s}{ratio:8.2f}")


if __name__ == "__main__":
    main()
