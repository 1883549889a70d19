"""The training kernel: one optimiser step, the same for pretraining, training on labels and trained heads.

Mixed precision where the recipe and the device allow it, backward, the recipe's schedules, gradient clipping, the
optimisers' step, and gradients cleared.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ecgkit.errors import PluginError
from ecgkit.methods import Clock, Encoder, Method
from ecgkit.recipe import Recipe


class Optimization:
    """The optimisers of a model and the step that they take.

    Args:
        recipe: Schedule, clipping, precision.
        device: Where the model lies.
        optimizers: Each trained parameter is in exactly one of them.
    """

    def __init__(
        self, recipe: Recipe, device: torch.device, optimizers: torch.optim.Optimizer | Sequence[torch.optim.Optimizer]
    ) -> None:
        self.recipe, self.device = recipe, device
        self.optimizers = (optimizers,) if isinstance(optimizers, torch.optim.Optimizer) else tuple(optimizers)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimisers; each loads new ones with its state."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    @property
    def lr(self) -> float:
        """Learning rate of the first group, as the last step used it."""
        return float(self.groups[0]["lr"])

    def autocast(self) -> torch.autocast:
        """Return the context of mixed precision for a forward pass."""
        return autocast(self.recipe, self.device)

    def step(self, losses: Iterable[Tensor], clock: Clock) -> None:
        """Take one optimiser step down the gradient of a sum of losses, at the rate and decay of the clock's moment.

        Args:
            losses: Scalars. Each is taken backwards before the next is asked for, so that only one graph is kept.
            clock: Where the training stands.
        """
        for loss in losses:
            loss.backward()  # type: ignore[no-untyped-call]
        self.set_rates(clock)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grad_norm_([p for group in self.groups for p in group["params"]], self.recipe.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def set_rates(self, clock: Clock) -> None:
        """Give every group the learning rate and the weight decay of the clock's moment."""
        lr = self.recipe.lr_at(clock.next_epoch, clock.steps_per_epoch)
        for group in self.groups:
            if not group.get("constant", False):
                group["lr"] = lr * group.get("share", 1.0)
            if self.recipe.final_weight_decay is not None and group.get("decayed", group["weight_decay"] > 0):
                group["weight_decay"] = self.recipe.weight_decay_at(clock.progress)


def trained_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def method_optimization(method: Method, recipe: Recipe, device: torch.device) -> Optimization:
    """Return the optimisers that a method asks for.

    Raises:
        PluginError: They leave a trained parameter out, or two of them share one.
    """
    parameters = trained_parameters(method)
    found = Optimization(recipe, device, method.optimizer(recipe, parameters))
    held = Counter(id(p) for group in found.groups for p in group["params"])
    wrong = [name for name, p in parameters.items() if held[id(p)] != 1]
    if wrong:
        raise PluginError(
            f"{type(method).__name__}.optimizer holds the parameter {wrong[0]} {held[id(parameters[wrong[0]])]} times",
            "every trained parameter once",
            "Declare a parameter that is not trained by requires_grad_(False).",
        )
    return found


def decayed_shares(encoder: Encoder, decay: float) -> dict[str, float]:
    """Return the share of the learning rate of each parameter: `decay` once for every stage that stands behind it.

    Clark et al., ELECTRA, arXiv 2003.10555, appendix A; for image encoders Bao et al., BEiT, arXiv 2106.08254. The
    last stage, like a classifier behind it, gets all of the rate.

    Args:
        encoder: It says what its `ecgkit.methods.Encoder.stages` are.
        decay: Above 0 and at most 1.
    """
    stages = encoder.stages()
    place = {id(p): i for i, stage in enumerate(stages) for part in stage for p in part.parameters()}
    behind = {name: len(stages) - 1 - place.get(id(p), -1) for name, p in encoder.named_parameters()}
    return {name: decay ** max(n, 0) if stages else 1.0 for name, n in behind.items()}


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the context of mixed precision that the recipe asks for."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision(recipe, device) == "bf16")


def precision(recipe: Recipe, device: torch.device) -> str:
    """Return ``fp32`` or ``bf16``: what ``auto`` stands for on a device, or what the recipe says."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16" if multiplies_bf16(device) else "fp32"


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether a device has units for products of bf16 matrices: an Ampere GPU, AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
