"""The processes of one training: who they are, and what they agree on.

A training is one process, or as many as a launcher started: ``ecgkit pretrain --gpus N``, an outer ``torchrun``, or
``srun``. NCCL carries tensors between GPUs and gloo between CPUs; what the processes agree on goes over gloo alone, so
that no GPU is waited for.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ecgkit.errors import RunError

T = TypeVar("T")

# Groups are never collected: gloo's destructor waits, holding Python's lock, for a thread that may want that lock.
_kept_alive: list[Any] = []
TIMEOUT = timedelta(minutes=60)  # the others wait while the first makes a view


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Args:
        rank: Which of them this is.
        size: How many there are.
        local_rank: Which of those on this machine this is.
        control: The gloo group for agreements; None where there is one process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def first(self) -> bool:
        """Whether this one writes the files and speaks to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all are here."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do some work in the first process, then in all others, and return this one's result.

        Raises:
            RunError: The first process failed; there, its own error.
        """
        result, error = None, None
        if self.first:
            try:
                result = work()
            except BaseException as caught:
                error = caught
        failed = self.agree([error is not None])[0]
        if error is not None:
            raise error
        if failed:
            raise RunError("the first process failed", "it to begin")
        return result if self.first else work()  # type: ignore[return-value]

    def agree(self, flags: Sequence[bool]) -> list[bool]:
        """Return which flags are up in any process."""
        if self.size == 1:
            return list(flags)
        up = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(up, op=dist.ReduceOp.MAX, group=self.control)
        return up.bool().tolist()

    def total(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the sums over all processes, on the CPU, of scalars that all of them have under the same names."""
        if not values:
            return {}
        stacked = torch.stack([value.detach().double() for value in values.values()]).cpu()
        if self.size > 1:
            dist.all_reduce(stacked, group=self.control)
        return dict(zip(values, stacked, strict=True))

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """Return a CPU tensor of every process, all of one shape, in the order of the processes."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor, group=self.control)
        return parts


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that a launcher started; one process alone joins nobody.

    Args:
        device: Kind of device that is trained on, ``cpu`` or ``cuda``.
    """
    found = placement(os.environ)
    if found is None:
        yield Processes()
        return
    if dist.is_initialized():  # a notebook's, or a test's
        yield Processes(found.rank, found.size, found.local_rank, dist.new_group(backend="gloo"))
        return
    os.environ.update(meeting_point(os.environ))
    dist.init_process_group(
        "nccl" if device == "cuda" else "gloo", rank=found.rank, world_size=found.size, timeout=TIMEOUT
    )
    try:
        control = dist.new_group(backend="gloo", timeout=TIMEOUT)
        _kept_alive.extend([dist.group.WORLD, control])
        yield Processes(found.rank, found.size, found.local_rank, control)
    finally:
        dist.destroy_process_group()


def placement(environment: Mapping[str, str]) -> Processes | None:
    """Read who this process is from what a launcher set; None if it is alone.

    ``torchrun`` and ``ecgkit pretrain --gpus`` set RANK, WORLD_SIZE and LOCAL_RANK. Below ``srun`` Slurm's variables
    stand in for them; a batch script's own process is no task of a step and is alone.
    """
    if "WORLD_SIZE" in environment and "RANK" in environment:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return Processes(rank, size, int(environment.get("LOCAL_RANK", 0))) if size > 1 else None
    size = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if size == 1:
        return None
    return Processes(int(environment["SLURM_PROCID"]), size, int(environment["SLURM_LOCALID"]))


def meeting_point(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where the processes below ``srun`` meet, for torch's variables; a launcher has said so itself."""
    if "MASTER_ADDR" in environment:
        return {}
    port = 20_000 + int(environment["SLURM_JOB_ID"]) % 20_000
    return {"MASTER_ADDR": first_host(environment["SLURM_STEP_NODELIST"]), "MASTER_PORT": str(port)}


def first_host(nodes: str) -> str:
    """Return the first host of a Slurm list such as ``gpu[03-05,9],big1``.

    Raises:
        RunError: It is no such list.
    """
    parts = re.match(r"([^,\[\]]+)(?:\[(\d+)[^\]]*\])?([^,\[\]]*)", nodes)
    if parts is None:
        raise RunError(f"SLURM_STEP_NODELIST {nodes!r}", "a list of hosts", "Set MASTER_ADDR to the first host.")
    return f"{parts[1]}{parts[2] or ''}{parts[3]}"


def requeued(environment: Mapping[str, str]) -> bool:
    """Return whether a scheduler or launcher has started this same command before."""
    counts = (environment.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))
    return any(count.isdigit() and int(count) > 0 for count in counts)
