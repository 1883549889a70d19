"""Start-up: ``ecgkit --help`` against the ``--help`` of a one-command Typer app, and what light commands cost.

    python benchmarks/startup.py [--runs 21]
    python benchmarks/startup.py --commands [--runs 5]

The first prints medians in ms and their ratio; the bar is a ratio of at most 2. The second prints the processor time of
``runs``, ``inspect``, ``report`` and ``embed`` of one file, each with its share of that of ``import torch``. Both start
whole processes, in turn.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE_COMMAND = """
import typer
app = typer.Typer()

@app.command()
def hello(name: str, times: int = 1) -> None:
    \"\"\"Say hello.\"\"\"

app(["--help"])
"""
ECGKIT = "import sys; sys.argv = ['ecgkit', '--help']; from ecgkit.cli import main; main()"


def milliseconds(code: str) -> float:
    """Return the wall time of one fresh process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - began)


def processor_seconds(*arguments: str, folder: Path) -> float:
    """Return the processor time of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def help_page(runs: int) -> None:
    """Time both in turn, so that a machine that drifts drifts for both."""
    pairs = [(milliseconds(ECGKIT), milliseconds(ONE_COMMAND)) for _ in range(runs + 1)][1:]
    ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"ecgkit --help      {ours:6.0f} ms")
    print(f"one-command Typer  {plain:6.0f} ms")
    print(f"ratio              {ratio:6.2f}")


def commands(runs: int, folder: Path) -> None:
    """Measure the light commands on a small simulated store and a run of one epoch."""
    ecgkit = ("-m", "ecgkit")
    for made in (
        ("simulate", "cohort", "--records", "60"),
        ("ingest", "cohort", "--out", "cohort.zarr"),
        (
            "pretrain",
            "--method",
            "stmem",
            "--preset",
            "tiny",
            "--epochs",
            "1",
            "--data",
            "cohort.zarr",
            "--out",
            "runs/a",
        ),
    ):
        processor_seconds(*ecgkit, *made, folder=folder)
    record = str(next(iter(sorted(folder.glob("cohort/**/*.hea")))))
    measured = {
        "import torch": ("-c", "import torch"),
        "runs": (*ecgkit, "runs"),
        "inspect": (*ecgkit, "inspect", "cohort.zarr"),
        "report": (*ecgkit, "report", "runs"),
        "embed": (*ecgkit, "embed", "runs/a", "--data", record, "--out", "a.npz", "--overwrite"),
    }
    found: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(runs):
        for name, arguments in measured.items():
            found[name].append(processor_seconds(*arguments, folder=folder))
    torch = statistics.median(found["import torch"])
    for name, times in found.items():
        print(f"{name:14s} {statistics.median(times):5.2f} s  {statistics.median(times) / torch:5.2f}")


def main() -> None:
    """Measure one of both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--runs", type=int, default=0)
    given = parser.parse_args()
    if given.commands:
        with tempfile.TemporaryDirectory() as folder:
            commands(given.runs or 5, Path(folder))
    else:
        help_page(given.runs or 21)


if __name__ == "__main__":
    main()
