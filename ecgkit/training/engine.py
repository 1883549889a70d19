"""The training steps of one process on its device, alone or together with other processes.

By default every process holds the whole model, and gradients are averaged (DistributedDataParallel). With `shard`, each
process holds a part of the model (FSDP2). The units of sharding are the members of every `ModuleList` (the blocks of a
transformer) and the rest of the model.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from ecgkit.errors import RunError
from ecgkit.methods import Batch, Clock, Method
from ecgkit.nn.contrastive import across
from ecgkit.recipe import Recipe
from ecgkit.training.optimization import method_optimization
from ecgkit.training.plan import Piece
from ecgkit.training.processes import Processes
from ecgkit.training.recomputing import recompute_blocks

BUCKET_MB = 25.0  # torch's own choice


class _TrainingStep(nn.Module):
    """A module whose forward pass is a method's training step, for torch's wrappers."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, Tensor]]:
        losses = self.method.training_step(batch, clock)
        return losses.loss, losses.scalars()


class Engine:
    """See the module.

    Args:
        method: The method on its device, with equal weights in every process.
        recipe: The training recipe.
        processes: The processes that train together.
        shard: Whether each process holds only a part of the model.
        recompute: Whether the backward pass computes the inner values of blocks again; see `recompute_blocks`.
        bucket_mb: Size of the buckets in which gradients are exchanged, in MiB.
        compile: Whether the step is compiled.
        idle: Whether some parameter may get no gradient in a step.
    """

    def __init__(
        self,
        method: Method,
        recipe: Recipe,
        processes: Processes,
        *,
        shard: bool = False,
        recompute: bool = False,
        bucket_mb: float = BUCKET_MB,
        compile: bool,
        idle: bool,
    ) -> None:
        self.method, self.recipe, self.processes = method, recipe, processes
        self.device = next(method.parameters()).device
        self.module = _TrainingStep(method)
        if recompute:
            recompute_blocks(method)
        if shard:
            _shard(self.module, self.device, processes)
        if compile:
            self.module.compile()
        self.wrapped: nn.Module = self.module
        if processes.size > 1 and not shard:
            self.wrapped = DistributedDataParallel(
                self.module,
                device_ids=[self.device.index] if self.device.type == "cuda" else None,
                find_unused_parameters=idle or keeps_order(self.device, processes.size),
                gradient_as_bucket_view=True,
                bucket_cap_mb=bucket_mb,
            )
        self.sharded = shard
        self.optimization = method_optimization(method, recipe, self.device)

    def step(self, pieces: Sequence[Piece], batches: Iterator[Batch], clock: Clock) -> list[dict[str, Tensor]]:
        """Train on a batch, piece by piece; return the losses of each piece, still on the device.

        Args:
            pieces: This process's pieces of the batch.
            batches: Iterator of the pieces' batches.
            clock: The position of the training.
        """
        done: list[dict[str, Tensor]] = []
        self.optimization.step(self._losses(pieces, batches, clock, done), clock)
        with torch.no_grad():
            self.method.after_step(clock)
        return done

    def _losses(
        self, pieces: Sequence[Piece], batches: Iterator[Batch], clock: Clock, done: list[dict[str, Tensor]]
    ) -> Iterator[Tensor]:
        """Yield the weighted loss of each piece; gradients are exchanged only at the last piece."""
        for i, piece in enumerate(pieces):
            batch = next(batches).to(self.device)
            with self._gradients_wait(i + 1 < len(pieces)):
                with self.optimization.autocast(), across(piece.sizes):
                    loss, scalars = self.wrapped(batch, clock)
                yield loss if piece.weight == 1.0 else loss * piece.weight
            done.append(scalars)

    def _gradients_wait(self, wait: bool) -> AbstractContextManager[Any]:
        """Suspend the exchange of gradients until the last piece of a batch."""
        if self.sharded:
            self.module.set_requires_gradient_sync(not wait)  # type: ignore[operator]
        elif wait and isinstance(self.wrapped, DistributedDataParallel):
            return self.wrapped.no_sync()
        return nullcontext()

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        """Return the losses of a batch of this process alone, without training."""
        with self.optimization.autocast():
            _, scalars = self.module(batch.to(self.device), clock)
        return scalars


def keeps_order(device: torch.device, processes: int) -> bool:
    """Return whether gradients must be added in one order throughout, so that a resumed training has the same bits.

    After its first step torch lays its buckets out anew, in the order in which gradients come. The place in a bucket
    decides in which order three or more processes are added. Torch does not do so where it looks for idle parameters,
    which costs little on a processor.
    """
    return device.type == "cpu" and processes > 2


def _shard(module: nn.Module, device: torch.device, processes: Processes) -> None:
    """Shard a module's weights over the processes."""
    scalars = [name for name, p in module.named_parameters() if p.ndim == 0]
    if scalars:
        raise RunError(
            f"the parameter {scalars[0].removeprefix('method.')} is a scalar and cannot be sharded",
            remedy="Train without --shard.",
        )
    mesh = init_device_mesh(device.type, (processes.size,))
    for part in list(module.modules()):
        for block in part if isinstance(part, nn.ModuleList) else ():
            fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
