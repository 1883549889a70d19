"""The processes of one training: their ranks and their communication.

A training runs in one process, or in the processes of a launcher: ``ecgkit pretrain --gpus N``, an outer ``torchrun``,
or ``srun``. Tensors go over NCCL between GPUs and over gloo between CPUs. Agreements between the processes go over gloo
alone, so that they do not wait for a GPU.
"""

import os
import re
import socket
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
TIMEOUT = timedelta(minutes=60)  # the others wait while the first probes its model or saves a large one


@dataclass(frozen=True)
class Processes:
    """The processes of a training, from the view of one of them.

    Args:
        rank: Rank of this process.
        size: Number of processes.
        local_rank: Rank of this process among those on this machine.
        control: The gloo group for agreements; None if there is one process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    control: Any = None

    @property
    def first(self) -> bool:
        """Whether this process writes the files and reports to the user."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do some work in the first process, then in all others; return the result of this process.

        Raises:
            RunError: The first process failed. In the first process, the original error is raised.
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
        """Return the flags that are set in any process."""
        if self.size == 1:
            return list(flags)
        up = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(up, op=dist.ReduceOp.MAX, group=self.control)
        return up.bool().tolist()

    def of_first(self, value: T) -> T:
        """Return the value that the first process gave, in every process."""
        held: list[Any] = [value]
        if self.size > 1:
            dist.broadcast_object_list(held, src=0, group=self.control)
        found: T = held[0]
        return found

    def total(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the sums over all processes, on the CPU, of scalars with the same names in every process."""
        if not values:
            return {}
        stacked = torch.stack([value.detach().double() for value in values.values()]).cpu()
        if self.size > 1:
            dist.all_reduce(stacked, group=self.control)
        return dict(zip(values, stacked, strict=True))

    def collect(self, tensor: Tensor) -> list[Tensor]:
        """Return the CPU tensors of all processes, of equal shape, ordered by rank."""
        if self.size == 1:
            return [tensor]
        parts = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(parts, tensor, group=self.control)
        return parts


ALONE = Processes()  # one process


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that a launcher started; a single process joins no group.

    Args:
        device: Kind of device to train on, ``cpu`` or ``cuda``.
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


def free_port() -> int:
    """Return a port of this machine at which processes can meet."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def placement(environment: Mapping[str, str]) -> Processes | None:
    """Read the rank of this process from the launcher's environment variables; None for a single process.

    ``torchrun`` and ``ecgkit pretrain --gpus`` set RANK, WORLD_SIZE and LOCAL_RANK. Under ``srun``, Slurm's variables
    are used instead. The process of a batch script itself is not a task of a Slurm step, so it is a single process.
    """
    if "WORLD_SIZE" in environment and "RANK" in environment:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        return Processes(rank, size, int(environment.get("LOCAL_RANK", 0))) if size > 1 else None
    size = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if size == 1:
        return None
    return Processes(int(environment["SLURM_PROCID"]), size, int(environment["SLURM_LOCALID"]))


def meeting_point(environment: Mapping[str, str]) -> dict[str, str]:
    """Return address and port of the rendezvous for torch's variables under ``srun``; a launcher sets its own."""
    if "MASTER_ADDR" in environment:
        return {}
    port = 20_000 + int(environment["SLURM_JOB_ID"]) % 20_000
    return {"MASTER_ADDR": first_host(environment["SLURM_STEP_NODELIST"]), "MASTER_PORT": str(port)}


def first_host(nodes: str) -> str:
    """Return the first host of a Slurm list such as ``gpu[03-05,9],big1``.

    Raises:
        RunError: The text is not such a list.
    """
    parts = re.match(r"([^,\[\]]+)(?:\[(\d+)[^\]]*\])?([^,\[\]]*)", nodes)
    if parts is None:
        raise RunError(f"SLURM_STEP_NODELIST {nodes!r}", "a list of hosts", "Set MASTER_ADDR to the first host.")
    return f"{parts[1]}{parts[2] or ''}{parts[3]}"


def requeued(environment: Mapping[str, str]) -> bool:
    """Return whether a scheduler or launcher has restarted this command."""
    counts = (environment.get(name, "0") for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))
    return any(count.isdigit() and int(count) > 0 for count in counts)
