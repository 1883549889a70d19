"""The command ``python -m tests.faults``; see the package."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.cases import CASES
from tests.faults.interposer import FAULTS
from tests.faults.trial import Bench, trials, warm_up

IN_MEMORY = Path("/dev/shm")  # a file system in memory: the faults come from the tool, so no trial waits for a disk


def main() -> int:
    """Run the trials, print each that fails and a table, and return 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults into commands.")
    parser.add_argument("commands", nargs="*", help=f"Some of {', '.join(CASES)}. Default: all.")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="Repeatable. Default: all.")
    parser.add_argument("--sample", type=int, default=0, help="Points per command and fault. Default: all.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the sample.")
    asked = parser.parse_args()
    if unknown := [name for name in asked.commands if name not in CASES]:
        parser.error(f"no command {unknown[0]!r}; there are {', '.join(CASES)}")
    began, failed = time.monotonic(), 0
    counts: Counter[tuple[str, str, str]] = Counter()
    with tempfile.TemporaryDirectory(prefix="ecgkit-faults-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        os.environ |= {"HOME": folder, "OMP_NUM_THREADS": "1"}
        for name in ("ECGKIT_DEBUG", "ECGKIT_CACHE"):  # a cache outside the working folder would outlive a trial
            os.environ.pop(name, None)
        warm_up()
        names = tuple(asked.commands) or tuple(CASES)
        bench, last = Bench(Path(folder).resolve()), ("", "")
        for trial in trials(bench, names, tuple(asked.fault or FAULTS), asked.sample, asked.seed):
            if (trial.case, trial.fault) != last:
                print(f"{trial.case}, {trial.fault}: {time.monotonic() - began:.0f} s", flush=True)
                last = trial.case, trial.fault
            counts[trial.case, trial.fault, trial.outcome] += 1
            if trial.problem:
                failed += 1
                print(
                    f"{trial.case}, {trial.fault} at point {trial.point} ({trial.where}): {trial.problem}", flush=True
                )
    print_counts(counts)
    print(f"{sum(counts.values())} trials, {failed} failed, {time.monotonic() - began:.0f} s")
    return int(failed > 0)


def print_counts(counts: Counter[tuple[str, str, str]]) -> None:
    """Print how often each fault of each command had which outcome."""
    for (case, fault, outcome), count in sorted(counts.items()):
        print(f"{case:10} {fault:7} {outcome:9} {count:5}")


if __name__ == "__main__":
    sys.exit(main())
