"""Training: what a step costs, whether it waits for data, and how soon it begins. Ratios in one run, medians.

    python benchmarks/training.py attention            softmax written out against torch's function, by dtype
    python benchmarks/training.py step [--batch 8]     ST-MEM base against the same model written plainly, fp32
    python benchmarks/training.py wait [--epochs 3]    share of time that tiny training waits for data
    python benchmarks/training.py start                seconds from the command to the first step, view ready

Add --device cuda where there is a GPU. Pin threads (OMP_NUM_THREADS) to compare per core.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgkit.entries import MethodEntry
from ecgkit.ingestion import ingest
from ecgkit.methods import Batch, Clock, method_config
from ecgkit.nn.attention import attend
from ecgkit.nn.transformer import Attention
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.simulate import simulate_cohort
from ecgkit.training.cost import count_cost, peak_flops, timed
from ecgkit.training.optimization import autocast, method_optimization, multiplies_bf16


class PlainAttention(nn.Module):
    """Attention as a first version of a paper's code has it: three projections, scores and weights in memory."""

    def __init__(self, fused: Attention) -> None:
        super().__init__()
        inner, width = fused.proj.in_features, fused.proj.out_features
        self.heads = fused.heads
        self.q, self.k, self.v = (nn.Linear(width, inner) for _ in range(3))
        self.proj = nn.Linear(inner, width)

    def forward(self, x: Tensor, allowed: Tensor | None = None) -> Tensor:
        """``[B, N, D] -> [B, N, D]``."""
        B, N, _ = x.shape
        q, k, v = (part(x).view(B, N, self.heads, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        weights = torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(B, N, -1))


def attention(options: argparse.Namespace) -> None:
    """Compare the two forms at the shapes that the models have."""
    device = torch.device(options.device)
    print(f"{'B, heads, N, d':>20} {'dtype':>9} {'sdpa ms':>8} {'plain ms':>9} {'attend ms':>10}")
    for shape in ((8, 12, 108, 64), (96, 4, 32, 64), (16, 2, 108, 64), (4, 3, 600, 64)):
        for dtype in (torch.float32, torch.bfloat16):
            qkv = torch.randn(3, *shape, device=device, dtype=dtype, requires_grad=True)
            forms: tuple[Callable[..., Tensor], ...] = (F.scaled_dot_product_attention, written_out, attend)
            times = compare([lambda f=f, qkv=qkv: backward(f(*qkv.unbind(0))) for f in forms], device, options.repeats)
            cells = " ".join(f"{1000 * t:9.1f}" for t in times)
            print(f"{shape!s:>20} {str(dtype).removeprefix('torch.'):>9} {cells}")


def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return attention as its formula says."""
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v


def backward(out: Tensor) -> None:
    """Run the backward pass of some output."""
    out.backward(out.detach())


def compare(
    works: list[Callable[[], Any]],
    device: torch.device,
    repeats: int,
    clock: Callable[[Callable[[], Any], torch.device], float] = timed,
) -> list[float]:
    """Time several works in turn, so that a machine that drifts drifts for all; medians in s."""
    for work in works:
        work()
    rounds = [[clock(work, device) for work in works] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def step(options: argparse.Namespace) -> None:
    """Time a whole training step of ST-MEM: forward, backward, optimizer."""
    device = torch.device(options.device)
    entry = host().get(MethodEntry, "stmem")
    _, config = method_config(entry, options.preset)
    signal = torch.randn(options.batch, 12, config.signal.samples)
    batch = Batch(signal, torch.arange(12), torch.arange(options.batch)).to(device)
    ours_recipe = replace(config.recipe, precision="auto")
    ours, plain = (entry.load()(config).to(device).train() for _ in range(2))
    for module in list(plain.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention):
                setattr(module, name, PlainAttention(child).to(device))
    if device.type == "cuda":
        ours.compile()
    works = [stepper(plain, replace(config.recipe, precision="fp32"), batch), stepper(ours, ours_recipe, batch)]
    slow, fast = compare(works, device, options.repeats)
    cost = count_cost(entry.load()(config).to(device), batch, ours_recipe)
    mfu = cost.flops * options.batch / fast / peak_flops(ours_recipe, device)
    unit = "has" if multiplies_bf16(device) else "has no"
    print(
        f"ST-MEM {options.preset}, batch {options.batch}, {torch.get_num_threads()} threads; {device} {unit} bf16 units"
    )
    print(f"plainly written, fp32 {options.batch / slow:8.2f} records/s")
    print(f"ecgkit                {options.batch / fast:8.2f} records/s")
    print(f"ratio                 {slow / fast:8.2f}")
    print(f"MFU                   {100 * mfu:8.0f} %  ({cost.flops / 1e9:.1f} GFLOP a record)")


def stepper(method: Any, recipe: Recipe, batch: Batch) -> Callable[[], None]:
    """Return a whole training step on a batch."""
    device = batch.signal.device
    optimization = method_optimization(method, recipe, device)
    clock = Clock.at(1, 2, 1)

    def work() -> None:
        with autocast(recipe, device):
            loss = method.training_step(batch, clock).loss
        optimization.step([loss], clock)

    return work


def wait(options: argparse.Namespace) -> None:
    """Pretrain `tiny` by the command and read what its log says."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), options.records)
        run = Path(folder) / "run"
        command = pretraining(store, run, options)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        print(
            f"epoch {line['epoch']}: data wait {100 * line['data_wait']:5.2f} %, {line['records_per_second']} records/s"
        )
    print(f"median data wait {100 * statistics.median(line['data_wait'] for line in lines):.2f} %")


def start(options: argparse.Namespace) -> None:
    """Time a training of one step, from the start of the command; the first makes the view and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder), 120)
        seconds = []
        for i in range(options.repeats + 1):
            began = time.perf_counter()
            command = pretraining(store, Path(folder) / f"run{i}", options)
            with subprocess.Popen(
                [*command, "--set", "recipe.batch_size=1"], stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout
                for line in process.stdout:
                    if "trained parameters" in line:  # said right before the first step
                        seconds.append(time.perf_counter() - began)
                        break
                process.terminate()
    print(f"from the command to the first step: median {statistics.median(seconds[1:]):.1f} s of {len(seconds) - 1}")


def make_store(folder: Path, records: int) -> Path:
    """Simulate a cohort and ingest it."""
    simulate_cohort(folder / "cohort", records=records, seed=0)
    ingest(folder / "cohort", folder / "cohort.zarr")
    return folder / "cohort.zarr"


def pretraining(store: Path, run: Path, options: argparse.Namespace) -> list[str]:
    """Return the command that pretrains ST-MEM tiny."""
    words = ["pretrain", "--method", "stmem", "--preset", "tiny", "--data", store, "--out", run]
    words += ["--epochs", options.epochs, "--device", options.device]
    return [sys.executable, "-m", "ecgkit", *map(str, words)]


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["attention", "step", "wait", "start"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--preset", default="base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    {"attention": attention, "step": step, "wait": wait, "start": start}[options.what](options)


if __name__ == "__main__":
    main()
