"""Training on labels: the epochs of fine-tuning, of training from scratch and of trained heads.

Each step is a step of the training kernel (`ecgkit.training.optimization`). The recipe decides which weights are kept:
those of the epoch with the best validation merit (the earliest of equal ones), or those of the last epoch.

Several processes may share each batch (`Optimization.processes`). The loss of each is then its part of the batch's
loss, so that the sum over the processes is the loss of the whole batch.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ecgkit.methods import Clock
from ecgkit.recipe import Recipe
from ecgkit.training.optimization import Optimization

B = TypeVar("B")
Merit = tuple[float, ...]  # epochs are compared by it; the greater the better


def fit_epochs(
    module: nn.Module,
    optimization: Optimization,
    batches: Callable[[int], tuple[int, Iterable[B]]],
    loss: Callable[[B], tuple[Tensor, int]],
    judge: Callable[[int, float], Merit],
    watch: Callable[[int, int], None],
) -> int:
    """Train a module and leave it with the weights of the chosen epoch.

    Args:
        module: The module to train.
        optimization: Its optimisers and their recipe.
        batches: Returns the batches of an epoch (counted from 0) and their number, which is equal in every epoch.
        loss: Returns the scalar loss of a batch, or this process's part of it, and the batch's number of records.
        judge: Takes the epoch (counted from 0) and its mean training loss; returns the merit on the validation set.
        watch: Called with epochs done and epochs in all.

    Returns:
        The chosen epoch, counted from 1.
    """
    recipe = optimization.recipe
    best: tuple[Merit, int, dict[str, Tensor]] | None = None
    for epoch in range(recipe.epochs):
        mean = _train_epoch(module, optimization, *batches(epoch), loss, epoch)
        _share_buffers(module, optimization)
        merit = judge(epoch, mean)
        if best is None or recipe.checkpoint == "last" or merit > best[0]:
            best = merit, epoch + 1, _copy(module)
        watch(epoch + 1, recipe.epochs)
    assert best is not None
    module.load_state_dict(best[2])
    return best[1]


def check_whole_batches(recipe: Recipe) -> None:
    """Refuse a recipe with gradient accumulation, which training on labels does not support.

    Raises:
        ValueError: ``accumulate`` is not 1.
    """
    if recipe.accumulate != 1:
        raise ValueError(f"accumulate {recipe.accumulate} must be 1: a head is trained on whole batches")


def _train_epoch(
    module: nn.Module,
    optimization: Optimization,
    number: int,
    batches: Iterable[B],
    loss: Callable[[B], tuple[Tensor, int]],
    epoch: int,
) -> float:
    """Train for an epoch and return the mean loss over records."""
    module.train()
    epochs = optimization.recipe.epochs
    total, records = torch.zeros((), dtype=torch.float64, device=optimization.device), 0
    for i, batch in enumerate(batches):
        with optimization.autocast():
            value, size = loss(batch)
        optimization.step([value], Clock.at(epoch * number + i, epochs * number, epochs))
        total += value.detach().double() * size
        records += size
    return float(optimization.processes.total({"loss": total})["loss"]) / max(records, 1)


def _share_buffers(module: nn.Module, optimization: Optimization) -> None:
    """Replace the statistics that a module keeps, such as those of batch normalisation, by their mean."""
    if optimization.processes.size > 1:
        for buffer in module.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= optimization.processes.size


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}
