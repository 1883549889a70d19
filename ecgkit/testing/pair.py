"""One training step of `ecgkit.testing.gradients`, in two processes that share a batch."""

import multiprocessing
import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecgkit.entries import MethodEntry
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import find_task
from ecgkit.testing.case import OPTIONS
from ecgkit.testing.gradients import taken_step
from ecgkit.testing.result import CheckFailed
from ecgkit.training.processes import free_port, joined
from ecgkit.training.setup import set_up
from ecgkit.training.weights import load_weights, save_tensors

SECONDS = 600.0
GRADIENT = "gradient.safetensors"


def gradient_of_own(entry: MethodEntry, config: Any, store: Path, task: str) -> dict[str, Tensor]:
    """Return the gradient of every trained parameter by name, over all joined processes."""
    labels = find_task(task) if task else None
    with joined("cpu") as processes:
        setup = set_up(entry, config, Store(store), OPTIONS, processes, labels)
        return taken_step(setup, processes).gradients


def gradient_in_two(entry: MethodEntry, config: Any, store: Path, task: str) -> dict[str, Tensor]:
    """Return the result of `gradient_of_own` in the first of two processes joined by gloo.

    Raises:
        CheckFailed: A process fails, or both do not finish in time.
    """
    context = multiprocessing.get_context("forkserver")  # imports torch once, then forks before any thread
    context.set_forkserver_preload(["torch", "torch.distributed.fsdp", "ecgkit.testing.pair"])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    with tempfile.TemporaryDirectory() as folder:
        work = (address, Path(folder), entry, config, store, task)
        children = [context.Process(target=_child, args=(rank, *work), daemon=True) for rank in range(2)]
        for child in children:
            child.start()
        _wait(children, Path(folder))
        return load_weights(Path(folder) / GRADIENT)


def _wait(children: list[Any], folder: Path) -> None:
    """Wait for both processes. If one fails, its error is raised first, because the other only waits for it."""
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
        found = gradient_of_own(*work)
        if rank == 0:
            save_tensors(folder / "partial", found)
            os.replace(folder / "partial", folder / GRADIENT)
    except BaseException:
        last = traceback.format_exc().strip().splitlines()[-1]
        (folder / f"error-{rank}").write_text(last[:300], encoding="utf-8")
        raise SystemExit(1) from None
