"""How fast the Challenge's scores are, against a plain-Python version of the formulas in place of the official program.

    python benchmarks/challenge_score.py [recordings]

It makes labels and outputs of 20,000 recordings on the classes of 2020 and times the scores of both on the same arrays,
which the plain version indexes element by element, as the official programs do; and reading the same 2 x 20,000 files,
which the plain version does line by line. One thread. TMPDIR says where the files lie; on a disk that is slow to open
files both wait for it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from ecgkit.entries import TaskEntry
from ecgkit.evaluation.scores.challenge.files import read_answers
from ecgkit.evaluation.scores.challenge.formula import challenge_scores
from ecgkit.plugins import host
from ecgkit.tasks.loading import load_task
from tests.evaluation.plain_challenge import plain_scores


def main(recordings: int = 20_000) -> None:
    """Print a table of medians and ratios."""
    task = load_task(host().get(TaskEntry, "cinc2020"))
    codes = [code for label in task.labels.values() for code in label.codes]
    rng = np.random.default_rng(0)
    classes = len(task.labels)
    y = rng.random((recordings, classes)) < 0.08
    s = (0.5 * rng.random(y.shape) + 0.4 * y).round(4)
    p = s > 0.45
    weights = np.where(np.eye(classes) == 1, 1.0, 0.4)
    normal = list(task.labels).index("NSR")
    with tempfile.TemporaryDirectory() as folder:
        labels, outputs = Path(folder) / "labels", Path(folder) / "outputs"
        write(labels, outputs, codes, [label.codes for label in task.labels.values()], y, p, s)
        ours, theirs = (
            challenge_scores(y, p, s, normal=normal, weights=weights).macro(),
            plain_scores(y, p, s, weights, normal),
        )
        assert all(abs(theirs[name] - value) < 1e-9 for name, value in ours.items() if value is not None)
        fast = timed(lambda: challenge_scores(y, p, s, normal=normal, weights=weights), 5)
        slow = timed(lambda: plain_scores(y, p, s, weights, normal), 3)
        reading = timed(lambda: read_answers(labels, outputs, task), 3)
        plain_reading = timed(lambda: plain_read(labels, outputs), 3)
    print(f"{recordings:,} recordings, {classes} classes, one thread; medians in s")
    print(f"{'':32}{'plain':>9}{'ecgkit':>9}{'times':>8}")
    for name, a, b in (
        ("scores", slow, fast),
        ("reading 2 files a recording", plain_reading, reading),
        ("both", slow + plain_reading, fast + reading),
    ):
        print(f"{name:32}{a:9.3f}{b:9.3f}{a / b:8.1f}")


def timed(run: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of some runs in s."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def write(
    labels: Path, outputs: Path, codes: list[str], classes: list[tuple[str, ...]], y: Any, p: Any, s: Any
) -> None:
    """Write headers and outputs as the Challenge has them."""
    labels.mkdir()
    outputs.mkdir()
    column = [c for c, of in enumerate(classes) for _ in of]
    leads = "".join(f"A.mat 16+24 1000/mV 16 0 28 -1716 0 {lead}\n" for lead in range(12))
    for i in range(len(y)):
        stated = ",".join(classes[c][0] for c in np.flatnonzero(y[i]))
        (labels / f"A{i:05d}.hea").write_text(f"A{i:05d} 12 500 5000\n{leads}#Age: 74\n#Sex: Male\n#Dx: {stated}\n")
        rows = [",".join(codes), ",".join(str(int(p[i, c])) for c in column), ",".join(str(s[i, c]) for c in column)]
        (outputs / f"A{i:05d}.csv").write_text("\n".join([f"#A{i:05d}", *rows]) + "\n")


def plain_read(labels: Path, outputs: Path) -> list[Any]:
    """Read the same files line by line."""
    read = []
    for header in sorted(labels.glob("*.hea")):
        codes: list[str] = []
        with open(header) as file:
            for line in file:
                if line.startswith("#Dx"):
                    codes = [code.strip() for code in line.split(": ")[1].split(",")]
        with open(outputs / f"{header.stem}.csv") as file:
            rows = [line.strip().split(",") for line in file if line.strip() and not line.startswith("#")]
        decisions = [cell in ("1", "True", "true", "T", "t") for cell in rows[1]]
        read.append((codes, rows[0], decisions, [float(cell) for cell in rows[2]]))
    return read


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
