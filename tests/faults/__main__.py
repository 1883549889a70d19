"""The command ``python -m tests.faults``; see the package."""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.faults.cases import CASES
from tests.faults.interposer import FAULTS
from tests.faults.trial import Bench, Trial, trials, warm_up

IN_MEMORY = Path("/dev/shm")  # a file system in memory: the faults come from the tool, so no trial waits for a disk


def main() -> int:
    """Run the trials, print each that fails and a table, and return 1 if any failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults into commands.")
    parser.add_argument("commands", nargs="*", help=f"Some of {', '.join(CASES)}. Default: all.")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="Repeatable. Default: all.")
    parser.add_argument("--sample", type=int, default=0, help="Points per command and fault. Default: all.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of the sample.")
    parser.add_argument("--broken", action="store_true", help="Only try programs that are broken on purpose.")
    asked = parser.parse_args()
    if unknown := [name for name in asked.commands if name not in CASES]:
        parser.error(f"no command {unknown[0]!r}; there are {', '.join(CASES)}")
    with tempfile.TemporaryDirectory(prefix="ecgkit-faults-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        os.environ |= {"HOME": folder, "OMP_NUM_THREADS": "1"}
        for name in ("ECGKIT_DEBUG", "ECGKIT_CACHE"):  # a cache outside the working folder would outlive a trial
            os.environ.pop(name, None)
        warm_up()
        bench = Bench(Path(folder).resolve())
        if asked.broken:
            return try_broken(bench)
        names = tuple(asked.commands) or tuple(CASES)
        return try_all(trials(bench, names, tuple(asked.fault or FAULTS), asked.sample, asked.seed))


def try_all(found: Iterator[Trial]) -> int:
    """Print each trial that fails and the outcomes of each fault of each command. Return 1 if any failed."""
    began, tried, failed = time.monotonic(), 0, 0
    for (case, fault), group in groupby(found, key=lambda trial: (trial.case, trial.fault)):
        outcomes: Counter[str] = Counter()
        for trial in group:
            outcomes[trial.outcome] += 1
            if trial.problem:
                failed += 1
                print(f"{case}, {fault} at point {trial.point} ({trial.where}): {trial.problem}", flush=True)
        tried += outcomes.total()
        which = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{case:13} {fault:6} {outcomes.total():4}: {which}", flush=True)
    print(f"{tried} trials, {failed} failed, {time.monotonic() - began:.0f} s")
    return int(failed > 0)


def try_broken(bench: Bench) -> int:
    """Print which programs that are broken on purpose were found out, and return 1 if any was not."""
    from tests.faults.broken import BROKEN, unnoticed

    missed = 0
    for broken in BROKEN:
        is_missed = unnoticed(bench, broken)
        missed += is_missed
        print(f"{'NOT FOUND' if is_missed else 'found':9} {broken.mistake} ({broken.case}, {broken.fault})", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
