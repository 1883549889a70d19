"""The recipe: how a method is trained, apart from what it is."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule and budget.

    Args:
        epochs: Passes over the training records.
        batch_size: Records a step.
        lr: Peak learning rate at a batch of 256; it is scaled by batch_size / 256.
        warmup_epochs: Epochs of linear warm-up, fractions allowed.
        weight_decay: AdamW's decoupled decay, on matrices only.
        betas: AdamW's momentum terms.
        clip: Largest gradient norm; None leaves gradients alone.
        precision: ``fp32``, ``bf16`` (autocast), or ``auto``: bf16 on a GPU that has it, else fp32.
        checkpoint: Which weights are kept: ``best`` by validation loss, or ``last``.
    """

    epochs: int = 100
    batch_size: int = 64
    lr: float = 1.5e-4
    warmup_epochs: float = 5.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float | None = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.lr <= 0:
            raise ValueError("epochs and batch_size must be at least 1 and lr above 0")

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, after scaling by the batch."""
        return self.lr * self.batch_size / 256

    def lr_at(self, epoch: float) -> float:
        """Return the learning rate at a fractional epoch: linear warm-up, then half a cosine down to 0."""
        if epoch < self.warmup_epochs:
            return self.peak_lr * epoch / self.warmup_epochs
        rest = max(self.epochs - self.warmup_epochs, 1e-9)
        return self.peak_lr * 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - self.warmup_epochs) / rest)))
