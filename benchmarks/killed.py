"""Workers that are killed at random: the work ends all the same, with the bytes of an undisturbed run.

    python -m benchmarks.killed OUT [--kills 5] [--seed 0]

First a local Dask cluster of four workers ingests a simulated cohort, finds R peaks and makes a view, while a random
worker is killed (SIGKILL) again and again. Then a pretraining runs in four processes on the CPU. Whenever a random one
of them is killed, the command ends, and ``--resume`` continues it. The files of store and run are compared with
those of the same commands without a kill. Times of day, the seconds that a training took, and its log differ.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ecgkit.simulate import simulate_cohort

WORKERS, RECORDS = 4, 2_000
TRAINED, EPOCHS = 320, 10  # 170 steps: enough checkpoints for five kills, in minutes on two cores
SMALL = ("width=16", "depth=1", "heads=1", "head_width=16", "decoder_width=16", "decoder_depth=1", "decoder_heads=1")


def ecgkit(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of ecgkit."""
    command = [sys.executable, "-m", "ecgkit", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=check, env=environment)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def prepare(source: Path, store: Path, dask: str = "") -> str:
    """Make a store with R peaks and a view; return what the commands said of lost workers."""
    at = ("--dask", dask) if dask else ()
    done = [
        ecgkit("ingest", source, "--out", store, *at),
        ecgkit("beats", store, *at),
        ecgkit("prepare", store, "--for", "stmem:tiny", *at),
    ]
    lines = [line for each in done for line in (each.stdout + each.stderr).splitlines()]
    return "; ".join(line for line in lines if "before" in line and "work was done" in line)


class Killer(threading.Thread):
    """Kills random processes, a number of times.

    Args:
        victims: Yields the processes that may be killed, each time that one is to be.
        kills: Number of kills.
        seed: Seed of the choice and of the pauses.
        pause: Longest pause between two kills, in s.
    """

    def __init__(self, victims: Any, kills: int, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.victims, self.kills, self.pause = victims, kills, pause
        self.random, self.done, self.over = random.Random(seed), 0, threading.Event()

    def run(self) -> None:
        """Kill until all kills are done, or the work is over."""
        while self.done < self.kills and not self.over.wait(self.random.uniform(0.3, 1.0) * self.pause):
            found = sorted(self.victims())
            if found:
                os.kill(self.random.choice(found), signal.SIGKILL)
                self.done += 1


def dask_run(source: Path, out: Path, kills: int, seed: int) -> tuple[int, str]:
    """Make a store on a cluster whose workers are killed; return the number of kills, and what was said."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster:  # type: ignore[no-untyped-call]

        def workers() -> Iterator[int]:
            for nanny in list(cluster.workers.values()):
                if nanny.process is not None and nanny.process.pid:
                    yield nanny.process.pid

        killer = Killer(workers, kills, seed, 5.0)
        killer.start()
        said = prepare(source, out, cluster.scheduler_address)
        killer.over.set()
        killer.join()
    return killer.done, said


def ranks(parent: int) -> Iterator[int]:
    """Yield the processes of a training that the launcher started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
            environment = (stat.parent / "environ").read_bytes()
        except OSError:
            continue
        if int(words[1]) == parent and b"LOCAL_RANK=" in environment:
            yield int(stat.parent.name)


def training(store: Path, out: Path, kills: int, seed: int) -> int:
    """Train in four processes that are killed; return the number of kills."""
    sizes = [word for size in SMALL for word in ("--set", size)]
    begin: tuple[object, ...] = ("pretrain", "--method", "stmem", "--preset", "tiny", "--data", store, "--out", out)
    begin += ("--epochs", EPOCHS, *sizes, "--save-minutes", 0.02, "--workers", 0, "--overwrite")
    at: tuple[object, ...] = ("--processes", WORKERS, "--device", "cpu")
    chance, done = random.Random(seed), 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    again = ("pretrain", "--resume", out)
    while not out.exists():
        begun = bool(checkpoints(out))
        process = subprocess.Popen(
            [sys.executable, "-m", "ecgkit", *map(str, (*(again if begun else begin), *at))],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        before = checkpoints(out)
        while done < kills and process.poll() is None:
            time.sleep(0.1)
            victims = sorted(ranks(process.pid))
            if victims and checkpoints(out) - before:  # it has gone on from where it was
                time.sleep(chance.uniform(0.0, 1.0))
                try:
                    os.kill(chance.choice(victims), signal.SIGKILL)
                    done += 1
                except ProcessLookupError:
                    pass
                break
        message = process.communicate()[1]
        if process.returncode and "was killed" not in message:
            raise SystemExit(f"the training failed: {message[-800:]}")
    return done


def checkpoints(out: Path) -> set[str]:
    """Return the names of the checkpoints of an unfinished run."""
    return {path.name for path in out.with_name(f"{out.name}.partial").glob("checkpoints/*")}


def told_losses(run: Path) -> list[dict[str, Any]]:
    """Return the losses of a run, without the seconds beside them."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "loss" in name or name in ("epoch", "step")} for row in rows]


def main() -> None:
    """Run both, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given, began = parser.parse_args(), time.perf_counter()
    shutil.rmtree(given.out, ignore_errors=True)
    source, store = given.out / "cohort", given.out / "undisturbed.zarr"
    simulate_cohort(source, records=given.records, seed=given.seed)
    prepare(source, store)
    killed, said = dask_run(source, given.out / "killed.zarr", given.kills, given.seed)
    equal = digests(store) == digests(given.out / "killed.zarr")
    print(
        f"Dask: {killed} kills among {WORKERS} workers; the same bytes: {equal}. Said: {said or 'nothing'}", flush=True
    )
    simulate_cohort(given.out / "few", records=TRAINED, seed=given.seed)
    prepare(given.out / "few", given.out / "few.zarr")
    training(given.out / "few.zarr", given.out / "undisturbed", 0, given.seed)
    killed = training(given.out / "few.zarr", given.out / "killed", given.kills, given.seed)
    weights = [digests(given.out / name)["model.safetensors"] for name in ("undisturbed", "killed")]
    losses = [told_losses(given.out / name) for name in ("undisturbed", "killed")]
    print(
        f"training: {killed} kills among {WORKERS} processes; the same weights: {weights[0] == weights[1]}; "
        f"the same losses: {losses[0] == losses[1]}"
    )
    print(f"all in {(time.perf_counter() - began) / 60:.1f} min")


if __name__ == "__main__":
    main()
