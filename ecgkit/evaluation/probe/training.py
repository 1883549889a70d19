"""Fine-tuning and training from scratch in several processes, each on its own device.

Every process opens the probe for itself and computes its part of each batch; the training kernel adds up the gradients
(`ecgkit.training.optimization`). The result is that of one process up to rounding, except for encoders with batch
normalisation on a CPU, whose statistics are those of the parts.
"""

import os
from concurrent import futures
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import WorkerError
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.end_to_end import Supervised
from ecgkit.evaluation.heads.trained import TrainedHead
from ecgkit.evaluation.probe.kept import part_of
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.methods import Encoder
from ecgkit.tasks.data import TaskData
from ecgkit.training.processes import free_port, joined
from ecgkit.training.workers import Workers


@dataclass(frozen=True)
class Rank:
    """One process of a training.

    Args:
        request: The probe's request, for the device of this process.
        data: The task, with the training records that were drawn.
        seed: Seed of the training.
        rank: Number of the process.
        size: Number of processes.
        port: Port of this machine at which they meet.
    """

    request: ProbeRequest
    data: TaskData
    seed: int
    rank: int
    size: int
    port: int


@dataclass(frozen=True)
class Trained:
    """What the first process hands back.

    Args:
        state: Weights by name.
        probabilities: See `Supervised`.
        choices: See `Supervised`.
        metrics: See `Supervised`.
        like: See `Supervised`.
    """

    state: dict[str, NDArray[Any]]
    probabilities: NDArray[np.float64]
    choices: dict[str, Any]
    metrics: tuple[dict[str, Any], ...]
    like: Part


def train_in_processes(
    request: ProbeRequest, workers: Workers, encoder: Encoder, head: TrainedHead, data: TaskData, seed: int
) -> Supervised:
    """Train in the processes of this machine.

    Args:
        request: The probe's request.
        workers: The processes and their devices.
        encoder: A copy of the encoder; it ends with the trained weights.
        head: The head; it ends with the trained weights.
        data: The task, with the training records that were drawn.
        seed: Seed of the training.

    Raises:
        WorkerError: A process was killed.
    """
    devices, size = workers.devices, max(workers.count, workers.gpus)
    port = free_port()
    alone = replace(request, workers=1, gpus=0)
    ranks = [
        Rank(replace(alone, device=devices[rank % len(devices)]), data, seed, rank, size, port) for rank in range(size)
    ]
    with workers.open() as executor:
        running = [executor.submit(train_rank, rank) for rank in ranks]
        try:
            for future in futures.as_completed(running):
                future.result()  # the first that fails ends the others
        except futures.BrokenExecutor:
            how = executor.why() or "was killed, perhaps because memory ran out"
            remedy = "What it wrote above says why." if executor.why() else "Try again with fewer --workers."
            raise WorkerError(f"a process of the training {how}", remedy=remedy) from None
    made = running[0].result()
    assert made is not None
    encoder.load_state_dict({name: torch.from_numpy(value) for name, value in part_of(made.state, "encoder").items()})
    head.restore(part_of(made.state, "head"), made.like)
    return Supervised(made.probabilities, made.choices, made.metrics, encoder, head, made.like)


def train_rank(rank: Rank) -> Trained | None:
    """Train in one process. The first returns the result, the others None."""
    from ecgkit.evaluation.probe.probe import Probe  # it uses this module

    probe = Probe(rank.request)
    place = {"RANK": rank.rank, "LOCAL_RANK": rank.rank, "WORLD_SIZE": rank.size, "MASTER_PORT": rank.port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    if probe.device.type == "cuda":
        torch.cuda.set_device(probe.device)
    with joined(probe.device.type) as processes:
        made: Supervised = probe.train(rank.data, rank.seed, processes)
    if not processes.first:
        return None
    return Trained(made.state(), made.probabilities, made.choices, made.metrics, made.like)
