"""A training step of every family, against the same model computed plainly. Ratios in one run, medians.

    python benchmarks/families.py [--batch 16] [--repeats 5] [--device cpu]

Plainly: in fp32, with every attention weight in memory and forbidden pairs masked, and hidden tokens kept as mask
tokens where the family may drop them. The batch is real data's: simulated records with beats, reports and entities.
A step is forward, backward and optimizer; on a CPU its time is the process's own, whatever else runs.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import training as steps
from rich.console import Console
from rich.table import Table

from ecgkit.config import override
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.methods import method_config
from ecgkit.nn.attention import WatchedAttention
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.training.cost import count_cost, peak_flops, timed
from ecgkit.training.options import PretrainOptions
from ecgkit.training.processes import Processes
from ecgkit.training.setup import Setup, set_up

# Method, preset, and the settings that make it compute what it hides.
FAMILIES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("stmem", "tiny", ()),
    ("clear", "tiny", ()),
    ("kmerl", "tiny", ("mask_mode=token",)),
    ("merl", "tiny", ()),
    ("lamae", "tiny", ()),
    ("lamae", "ind-shared-tiny", ()),
    ("lamae", "ind-separate-tiny", ()),
    ("lamae", "mmvm-tiny", ()),
    ("hierarchical", "tiny", ()),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    title = f"Records/s in training steps, batch {options.batch}, {torch.get_num_threads()} threads"
    table = Table("method", "preset", "plain", "ecgkit", "ratio", "MFU", title=title)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(make_store(Path(folder), 4 * options.batch))
        for family in FAMILIES:
            table.add_row(*family[:2], *compare(store, family, options))
    Console().print(table)


def make_store(folder: Path, records: int) -> Path:
    """Simulate a cohort and give it all that a family may need."""
    cohort, store = folder / "cohort", folder / "cohort.zarr"
    for words in (
        ("simulate", cohort, "--records", records),
        ("ingest", cohort, "--out", store),
        ("beats", store),
        ("extract-knowledge", store, "--min-count", 1),
    ):
        subprocess.run([sys.executable, "-m", "ecgkit", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
    return store


def compare(store: Store, family: tuple[str, str, tuple[str, ...]], options: argparse.Namespace) -> Sequence[str]:
    """Return a family's cells."""
    name, preset, keep = family
    ours, plain = (prepared(store, name, preset, settings, options) for settings in ((), keep))
    for module in plain.method.modules():
        if isinstance(module, WatchedAttention):
            module.watcher = lambda weights: None  # which takes the written-out form, and dense masks
    batches = [setup.batch(options.batch) for setup in (plain, ours)]
    if ours.device.type == "cuda":
        ours.method.compile()
    slow, fast = steps.compare(
        [
            steps.stepper(plain.method.train(), replace(plain.recipe, precision="fp32"), batches[0]),
            steps.stepper(ours.method.train(), ours.recipe, batches[1]),
        ],
        ours.device,
        options.repeats,
        processor_time,
    )
    records = len(batches[1].rows)
    flops = count_cost(ours.method, batches[1], ours.recipe).flops * records / fast
    mfu = f"{100 * flops / peak_flops(ours.recipe, ours.device):.0f} %"
    return [f"{records / slow:.1f}", f"{records / fast:.1f}", f"{slow / fast:.2f}", mfu]


def prepared(store: Store, name: str, preset: str, settings: tuple[str, ...], options: argparse.Namespace) -> Setup:
    """Return a family as `ecgkit pretrain` would set it up."""
    entry = host().get(MethodEntry, name)
    config = override(method_config(entry, preset)[1], settings)
    task = host().get(TaskEntry, "simulated") if "labels" in entry.needs else None
    pretrain = PretrainOptions(preset=preset, device=options.device, workers=0)
    return set_up(entry, config, store, pretrain, Processes(), task)


def processor_time(work: Callable[[], None], device: torch.device) -> float:
    """Return the seconds that some work takes; on a CPU the process's own, a thread."""
    if device.type == "cuda":
        return timed(work, device)
    began = time.process_time()
    work()
    return (time.process_time() - began) / torch.get_num_threads()


if __name__ == "__main__":
    main()
