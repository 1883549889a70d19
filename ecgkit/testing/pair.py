"""The gradient of one batch, in this process or in two that share it, through the engine of real trainings.

The step is plain gradient descent at a learning rate of 1, so that the change of the weights is the gradient. Random
numbers are those of `ecgkit.testing.draws`. Batch norms keep their running statistics: on CPUs each process would take
its own, where GPUs share them.
"""

import multiprocessing
import os
import socket
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ecgkit.entries import MethodEntry
from ecgkit.methods import Clock
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import find_task
from ecgkit.testing.case import OPTIONS
from ecgkit.testing.draws import Draws
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.engine import Engine
from ecgkit.training.optimization import Optimization
from ecgkit.training.processes import Processes, joined
from ecgkit.training.setup import Setup, set_up
from ecgkit.training.weights import load_weights, save_tensors

SIZE = 22  # records of the batch; half of it is a prime, see `Draws`
SECONDS = 600.0
GRADIENT = "gradient.safetensors"


def gradient(entry: MethodEntry, config: Any, store: Path, task: str) -> dict[str, Tensor]:
    """Return the gradient of every trained parameter by name, from this process alone or from all that joined."""
    recipe = replace(config.recipe, batch_size=SIZE, lr=256 / SIZE, clip=None, schedule="constant")
    config = replace(config, recipe=recipe)
    labels = find_task(task) if task else None
    with joined("cpu") as processes:
        setup = set_up(entry, config, Store(store), OPTIONS, processes, lambda done, total: None, labels)
        return _step(setup, processes)


def _step(setup: Setup, processes: Processes) -> dict[str, Tensor]:
    idle = setup.cost().idle
    method = setup.method.train()
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    engine = Engine(method, setup.recipe, processes, shard=False, compile=False, idle=idle)
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    plain = torch.optim.SGD(trained.values(), lr=1.0)
    engine.optimization = Optimization(setup.recipe, engine.device, plain)
    before = {name: p.detach().clone() for name, p in trained.items()}
    plan = setup.plan(processes)
    pieces = next((step for step in plan.epoch(0) if sum(step[0].sizes) == SIZE), None)
    if pieces is None:
        raise CheckSkipped(f"fewer than {SIZE} records of one lead set fit the method's input")
    windows = Windows(setup.view, evaluation_starts(setup.view, 0), setup.supplies)
    batches = iter([windows[piece.rows] for piece in pieces])
    torch.manual_seed(0)
    with Draws(len(pieces[0].rows), SIZE, sum(pieces[0].sizes[: processes.rank])):
        engine.step(pieces, batches, Clock.at(0, 1, 1))
    return {name: before[name] - p.detach() for name, p in trained.items()}


def gradient_in_two(entry: MethodEntry, config: Any, store: Path, task: str) -> dict[str, Tensor]:
    """Return what `gradient` gives in the first of two processes joined by gloo.

    Raises:
        CheckFailed: One of them fails, or they wait for each other for minutes.
    """
    context = multiprocessing.get_context("forkserver")  # imports torch once, then forks before any thread
    context.set_forkserver_preload(["torch", "torch.distributed.fsdp", "ecgkit.testing.pair"])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    with tempfile.TemporaryDirectory() as folder:
        work = (address, Path(folder), entry, config, store, task)
        children = [context.Process(target=_child, args=(rank, *work), daemon=True) for rank in range(2)]
        for child in children:
            child.start()
        _wait(children, Path(folder))
        return load_weights(Path(folder) / GRADIENT)


def _wait(children: list[Any], folder: Path) -> None:
    """Wait for both; what one says of its failure comes first, for the other then waits for it in vain."""
    until = time.monotonic() + SECONDS
    try:
        while any(child.exitcode is None for child in children) and time.monotonic() < until:
            if any(child.exitcode for child in children):
                break
            children[0].join(0.05)
            children[1].join(0.05)
    finally:
        for child in children:
            if child.exitcode is None:
                child.kill()
            child.join()
    for file in sorted(folder.glob("error-*")):
        raise CheckFailed(f"{file.name.replace('error-', 'process ')} fails: {file.read_text()}", "a step")
    if not (folder / GRADIENT).is_file():
        raise CheckFailed(f"two processes gave no gradient in {SECONDS:.0f} s", "a step that all processes take alike")


def _child(rank: int, address: dict[str, str], folder: Path, *work: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
    try:
        found = gradient(*work)
        if rank == 0:
            save_tensors(folder / "partial", found)
            os.replace(folder / "partial", folder / GRADIENT)
    except BaseException:
        last = traceback.format_exc().strip().splitlines()[-1]
        (folder / f"error-{rank}").write_text(last[:300], encoding="utf-8")
        raise SystemExit(1) from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
