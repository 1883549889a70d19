"""The training kernel: one optimiser step, the same for pretraining, training on labels and trained heads.

A step runs in mixed precision if the recipe and the device allow it. It computes gradients, applies the recipe's
schedules and gradient clipping, steps the optimisers, and clears the gradients.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ecgkit.errors import PluginError
from ecgkit.methods import Clock, Encoder, Method
from ecgkit.recipe import Recipe
from ecgkit.training.processes import ALONE, Processes


class Optimization:
    """The optimisers of a model and the step that they take.

    Args:
        recipe: Gives schedule, clipping and precision.
        device: Device of the model.
        optimizers: The optimisers. Each trained parameter is in exactly one of them.
        processes: Processes whose gradients are added up before a step. One process, if each of several is given a
            model that adds up gradients itself.
    """

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
        processes: Processes = ALONE,
    ) -> None:
        self.recipe, self.device, self.processes = recipe, device, processes
        self.optimizers = (optimizers,) if isinstance(optimizers, torch.optim.Optimizer) else tuple(optimizers)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimisers. Loading an optimiser's state replaces its groups."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def lr(self) -> float:
        """Learning rate of the first group in the last step."""
        return float(self.groups[0]["lr"])

    def autocast(self) -> torch.autocast:
        """Return the context of mixed precision for a forward pass."""
        return autocast(self.recipe, self.device)

    def step(self, losses: Iterable[Tensor], clock: Clock) -> None:
        """Take one optimiser step on a sum of losses, with the clock's learning rate and weight decay.

        Args:
            losses: Scalar losses. Each is backpropagated before the next one is computed, so that only one graph is
                kept.
            clock: The position of the training.
        """
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]
        if self.processes.size > 1:
            add_gradients([p for group in self.groups for p in group["params"]], self.processes)
        self.set_rates(clock)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_([p for group in self.groups for p in group["params"]], self.recipe.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def set_rates(self, clock: Clock) -> None:
        """Set the learning rate and the weight decay of every group to those of the clock."""
        lr = self.recipe.lr_at(clock.next_epoch, clock.steps_per_epoch)
        for group in self.groups:
            if not group.get("constant", False):
                group["lr"] = lr * group.get("share", 1.0)
            if self.recipe.final_weight_decay is not None and group.get("decayed", group["weight_decay"] > 0):
                group["weight_decay"] = self.recipe.weight_decay_at(clock.progress)


def add_gradients(parameters: Sequence[nn.Parameter], processes: Processes) -> None:
    """Replace the gradients by their sums over all processes; one that no process has stays None."""
    has = processes.agree([p.grad is not None for p in parameters])
    used = [p for p, there in zip(parameters, has, strict=True) if there]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
    if not grads:
        return
    flat = torch.cat([grad.flatten() for grad in grads])  # one call, since each has its latency
    dist.all_reduce(flat)
    for p, total in zip(used, torch.split(flat, [p.numel() for p in used]), strict=True):
        p.grad = total.view_as(p)


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained parameters by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def method_optimization(method: Method, recipe: Recipe, device: torch.device) -> Optimization:
    """Return the optimisers of a method.

    Raises:
        PluginError: A trained parameter is in no optimiser, or in two.
    """
    parameters = trained_parameters(method)
    found = Optimization(recipe, device, method.optimizer(recipe, parameters))
    held = Counter(id(p) for group in found.groups for p in group["params"])
    wrong = [name for name, p in parameters.items() if held[id(p)] != 1]
    if wrong:
        raise PluginError(
            f"{type(method).__name__}.optimizer holds the parameter {wrong[0]} {held[id(parameters[wrong[0]])]} times",
            "every trained parameter once",
            "Set requires_grad_(False) on a parameter that is not trained.",
        )
    return found


def decayed_shares(encoder: Encoder, decay: float) -> dict[str, float]:
    """Return the factor on the learning rate of each parameter: `decay` to the power of the number of later stages.

    Layer-wise learning rate decay: Clark et al., ELECTRA, arXiv 2003.10555, appendix A; for image encoders Bao et al.,
    BEiT, arXiv 2106.08254. The last stage and a classifier behind it have factor 1.

    Args:
        encoder: The encoder, which lists its `ecgkit.methods.Encoder.stages`.
        decay: Factor per stage, above 0 and at most 1.
    """
    stages = encoder.stages()
    place = {id(p): i for i, stage in enumerate(stages) for part in stage for p in part.parameters()}
    behind = {name: len(stages) - 1 - place.get(id(p), -1) for name, p in encoder.named_parameters()}
    return {name: decay ** max(n, 0) if stages else 1.0 for name, n in behind.items()}


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the autocast context for the recipe's precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(recipe, device) == "bf16")


def precision(recipe: Recipe, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``: the recipe's precision, with ``auto`` resolved for the device."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a device has hardware for bf16 matrix products: an Ampere GPU, AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
