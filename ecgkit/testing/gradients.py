"""The gradient of one batch, computed by the real training engine, for any cut of the batch into pieces.

The step is plain gradient descent at a learning rate of 1, so that the change of the weights is the gradient. Random
numbers come from `ecgkit.testing.draws`. Batch norms use their running statistics, because batch statistics would
differ between the pieces.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ecgkit.methods import Batch, Clock
from ecgkit.testing.draws import Draws
from ecgkit.testing.result import CheckFailed, CheckSkipped
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.engine import Engine
from ecgkit.training.optimization import Optimization
from ecgkit.training.plan import Piece
from ecgkit.training.processes import Processes
from ecgkit.training.setup import Setup

SIZE = 22  # records of the batch; half of it is a prime, see `Draws`
TOLERANCE = 1e-3  # negatives that stay in their process change gradients by tens of percent
RECIPE = {"batch_size": SIZE, "lr": 256 / SIZE, "clip": None, "schedule": "constant"}


@dataclass(frozen=True)
class Taken:
    """The outcome of a step.

    Args:
        gradients: Gradient of every trained parameter, by name.
        buffers: Buffers after the step, by name.
    """

    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def taken_step(setup: Setup, processes: Processes) -> Taken:
    """Take a step with this process's pieces of a batch of `SIZE` records; this changes the method.

    Raises:
        CheckSkipped: No lead set has `SIZE` records.
    """
    idle = setup.cost().idle
    method = setup.method.train()
    for module in method.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    engine = Engine(method, setup.recipe, processes, compile=False, idle=idle)
    trained = {name: p for name, p in method.named_parameters() if p.requires_grad}
    engine.optimization = Optimization(setup.recipe, engine.device, torch.optim.SGD(trained.values(), lr=1.0))
    before = {name: p.detach().clone() for name, p in trained.items()}
    plan = setup.plan(processes)
    pieces = next((step for step in plan.epoch(0) if sum(sum(piece.sizes) for piece in step) == SIZE), None)
    if pieces is None:
        raise CheckSkipped(f"fewer than {SIZE} records of one lead set fit the method's input")
    windows = Windows(setup.view, evaluation_starts(setup.view, 0), setup.supplies)
    with Draws(len(pieces[0].rows), SIZE, 0) as draws:
        engine.step(pieces, _batches(windows, pieces, processes.rank, draws), Clock.at(0, 1, 1))
    buffers = {name: value.clone() for name, value in method.named_buffers()}
    return Taken({name: before[name] - p.detach() for name, p in trained.items()}, buffers)


def _batches(windows: Windows, pieces: Sequence[Piece], rank: int, draws: Draws) -> Iterator[Batch]:
    """Yield the batches of the pieces; before each, set the random numbers of its records."""
    first = 0
    for piece in pieces:
        draws.own, draws.first = len(piece.rows), first + sum(piece.sizes[:rank])
        torch.manual_seed(0)
        yield windows[piece.rows]
        first += sum(piece.sizes)


def check_same_gradients(one: Mapping[str, Tensor], other: Mapping[str, Tensor], between: str, remedy: str) -> None:
    """Compare the gradients of every parameter.

    Raises:
        CheckFailed: The gradients differ.
    """
    scale = max(float(value.abs().max()) for value in one.values())
    for name, value in one.items():
        gap = float((value - other[name]).abs().max())
        if not gap <= TOLERANCE * (float(value.abs().max()) + 0.1 * scale):
            raise CheckFailed(
                f"the gradient of {name} differs by {gap:.2g} of {scale:.2g} between {between}", "the same", remedy
            )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, because some torch kernels add in a varying order on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
