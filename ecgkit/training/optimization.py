"""One optimiser step, the same for pretraining and for training on labels.

AdamW (Loshchilov and Hutter, arXiv 1711.05101), the recipe's schedule by fractional epoch, gradient clipping, and
mixed precision where the recipe and the device allow it.
"""

import torch
from torch import Tensor

from ecgkit.recipe import Recipe


def optimizer_for(method: torch.nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW with decay on matrices and none on vectors: biases, norms, single tokens."""
    trained = [p for p in method.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_lr, betas=recipe.betas, fused=device.type == "cuda")


def autocast(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the context of mixed precision that the recipe asks for."""
    wanted = recipe.precision == "bf16" or (
        recipe.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def take_step(loss: Tensor, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    """Move the parameters down the gradient of a loss, at the learning rate of a fractional epoch."""
    for group in optimizer.param_groups:
        group["lr"] = recipe.lr_at(epoch)
    loss.backward()  # type: ignore[no-untyped-call]
    if recipe.clip is not None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
