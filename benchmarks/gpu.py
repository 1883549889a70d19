"""All GPU rows in one short call: steps, data wait, distributed training, features, memory, a kill and a resume.

    python benchmarks/gpu.py [--minutes 8] [--out gpu.json]     on a machine with a GPU
    python benchmarks/gpu.py --dry                              on a CPU, at tiny sizes: does every row still run?

Writes JSON and prints a table. A row that fails says why and costs no other row; what no longer fits into the time says
so. Rows come in the order of their worth, so that a short call has the most important ones.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import families
import torch
import training as steps
from rich.console import Console
from rich.table import Table

from ecgkit.api.prepare import prepare
from ecgkit.arrays.encoder import load
from ecgkit.arrays.store import open_store
from ecgkit.store.reader import Store
from ecgkit.training.cost import count_cost, peak_flops, timed
from ecgkit.training.run import read_metrics

# Method, preset, batch on one GPU.
STEPS = (
    ("stmem", "base", 64),
    ("clear", "base", 128),
    ("kmerl", "vit-tiny", 256),
    ("merl", "base", 256),
    ("lamae", "base", 128),
    ("hierarchical", "base", 128),
)
RECORDS, EPOCHS = 4096, 3


@dataclass
class Call:
    """One call of this program.

    Args:
        device: The device.
        ends: When the time is over, as `time.monotonic` counts.
        folder: Folder for stores and runs.
        dry: Whether everything is tiny.
        rows: What was measured: numbers by row.
    """

    device: torch.device
    ends: float
    folder: Path
    dry: bool
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The store that everything is measured on."""
        return self.folder / "cohort.zarr"

    def row(self, name: str, measure: Callable[[], Mapping[str, Any]], seconds: float) -> None:
        """Measure a row if it fits into the time that is left.

        Args:
            name: Its name.
            measure: Returns its numbers.
            seconds: Time that it needs at least.
        """
        if time.monotonic() + (0 if self.dry else seconds) > self.ends:
            self.rows[name] = {"not measured": "the time is over"}
            return
        began = time.monotonic()
        try:
            self.rows[name] = dict(measure())
        except Exception as error:
            self.rows[name] = {"not measured": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        self.rows[name]["seconds"] = round(time.monotonic() - began, 1)
        print(name, self.rows[name], file=sys.stderr, flush=True)


def main() -> None:
    """Measure everything, write the JSON and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--dry", action="store_true")
    options = parser.parse_args()
    if not options.dry and not torch.cuda.is_available():
        sys.exit("torch sees no GPU; --dry runs every row on the CPU at tiny sizes")
    ends = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        device = torch.device("cpu" if options.dry else "cuda")
        call = Call(device, ends, Path(folder), options.dry)
        families.make_store(call.folder, 64 if options.dry else RECORDS)
        measure(call)
    name = "CPU (dry)" if options.dry else torch.cuda.get_device_name()
    options.out.write_text(json.dumps({"device": name, "torch": torch.__version__, "rows": call.rows}, indent=1))
    show(name, call.rows)


def measure(call: Call) -> None:
    """Measure all rows."""
    for method, preset, batch in STEPS:
        preset = "tiny" if call.dry else preset
        call.row(f"step {method} {preset}", lambda m=method, p=preset, b=batch: step(call, m, p, b), 25)
    first, size = STEPS[0][0], "tiny" if call.dry else STEPS[0][1]
    call.row("data wait, view from disk", lambda: data_wait(call, first, size, in_memory=False), 40)
    call.row("data wait, view in memory", lambda: data_wait(call, first, size, in_memory=True), 30)
    call.row("features", lambda: features(call), 20)
    call.row("two processes or NCCL with one device", lambda: distributed(call, first, size, shard=False), 40)
    call.row("FSDP2 with one device", lambda: distributed(call, first, size, shard=True), 40)
    call.row("killed and resumed", lambda: killed(call), 60)
    for method, preset, batch in STEPS:
        preset = "tiny" if call.dry else preset
        if not call.dry:  # compiling takes minutes on a CPU
            call.row(
                f"compiled step {method} {preset}",
                lambda m=method, p=preset, b=batch: step(call, m, p, b, compiled=True),
                60,
            )


def step(call: Call, method: str, preset: str, batch: int, *, compiled: bool = False) -> dict[str, Any]:
    """Time a training step: forward, backward and optimizer, in the recipe's own precision."""
    batch = 4 if call.dry else batch
    options = argparse.Namespace(device=call.device.type)
    setup = families.prepared(Store(call.store), method, preset, (), options)
    data = setup.batch(batch)
    flops = count_cost(setup.method, data, setup.recipe).flops * len(data.rows)
    if compiled:
        setup.method.compile()
    work = steps.stepper(setup.method.train(), setup.recipe, data)
    with peak_memory(call.device) as memory:
        for _ in range(1 if call.dry else 3):
            work()
        repeats = 2 if call.dry else 20
        seconds = timed(lambda: [work() for _ in range(repeats)], call.device) / repeats
    peak = peak_flops(setup.recipe, call.device)
    return {
        "batch": len(data.rows),
        "records/s": round(len(data.rows) / seconds, 1),
        "ms": round(1000 * seconds, 2),
        "MFU": round(flops / seconds / peak, 3),
        "GiB": memory(),
    }


def data_wait(call: Call, method: str, preset: str, *, in_memory: bool) -> dict[str, Any]:
    """Train for a few epochs and return the share of time that steps wait for batches."""
    made = prepare(call.store, for_=f"{method}:{preset}")
    for file in made.view.iterdir():
        if in_memory:
            file.read_bytes()
        else:
            with file.open("rb") as stream:
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    last = trained(call, method, preset, f"wait-{in_memory}")[-1]
    return {name: last[name] for name in ("records_per_second", "data_wait", "mfu", "peak_memory_gib")}


def trained(call: Call, method: str, preset: str, name: str, *more: str) -> list[dict[str, Any]]:
    """Pretrain by the command, and return the metrics of its epochs."""
    run = call.folder / name
    succeed(command(call, method, preset, run, *more))
    return read_metrics(run)


def succeed(line: list[str]) -> None:
    """Run a command.

    Raises:
        RuntimeError: It failed; the message is its error.
    """
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(next((text for text in done.stderr.splitlines() if text.startswith("error")), done.stderr))


def command(call: Call, method: str, preset: str, run: Path, *more: str) -> list[str]:
    """Return the command of a training."""
    where = [] if more and more[0] in ("--gpus", "--processes") else ["--device", call.device.type]
    line = ["pretrain", "--method", method, "--preset", preset, "--data", call.store, "--out", run]
    return [sys.executable, "-m", "ecgkit", *map(str, line), "--epochs", str(EPOCHS), *where, *more]


def distributed(call: Call, method: str, preset: str, *, shard: bool) -> dict[str, Any]:
    """Train through the launcher: NCCL with one GPU (two processes over gloo in a dry call), sharded or not."""
    where = ("--processes", "2") if call.dry else ("--gpus", "1")
    last = trained(call, method, preset, f"many-{shard}", *where, *(["--shard"] if shard else []))[-1]
    return {name: last[name] for name in ("records_per_second", "data_wait", "mfu", "peak_memory_gib")}


def features(call: Call) -> dict[str, Any]:
    """Time the features of all records with a finished run."""
    runs = sorted(path.parent for path in call.folder.glob("*/model.safetensors"))
    encoder, store = load(runs[0], device=call.device.type), open_store(call.store)
    encoder.of_store(store)  # warm: view, kernels
    with peak_memory(call.device) as memory:
        seconds = timed(lambda: encoder.of_store(store), call.device)
    return {"run": runs[0].name, "records/s": round(len(store) / seconds, 1), "GiB": memory()}


def killed(call: Call) -> dict[str, Any]:
    """Kill a training in its middle, resume it, and compare its losses with an undisturbed one."""
    more = ("--save-minutes", "0")
    whole = trained(call, "stmem", "tiny", "whole", *more)
    run = call.folder / "killed"
    line = command(call, "stmem", "tiny", run, *more)
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    for text in process.stdout:
        if text.startswith("epoch"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    succeed([sys.executable, "-m", "ecgkit", "pretrain", "--resume", str(run)])
    pairs = zip(whole, read_metrics(run), strict=True)
    worst = max(abs(a["val_loss"] - b["val_loss"]) / abs(a["val_loss"]) for a, b in pairs)
    return {"epochs": len(whole), "largest relative difference of the validation loss": worst}


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], float | None]]:
    """Yield a function that returns the peak of the device's memory within the block, in GiB; None on a CPU."""
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    yield lambda: round(torch.cuda.max_memory_allocated() / 2**30, 2) if cuda else None


def show(device: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the rows as a table."""
    table = Table("row", "result", title=f"ecgkit on {device}")
    for name, values in rows.items():
        table.add_row(name, ", ".join(f"{key} {value}" for key, value in values.items()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
