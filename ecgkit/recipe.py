"""The recipe: how a method is trained, apart from what it is."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule and budget.

    Args:
        epochs: Passes over the training records.
        batch_size: Records a step, over all processes and all parts that are accumulated.
        accumulate: Parts into which a process cuts its share of a batch, one after the other, to save memory; a
            contrastive loss compares the records of one part only.
        lr: Peak learning rate at a batch of 256; it is scaled by batch_size / 256.
        warmup_epochs: Epochs of linear warm-up, fractions allowed.
        weight_decay: AdamW's decoupled decay, on matrices only.
        betas: AdamW's momentum terms.
        clip: Largest gradient norm; None leaves gradients alone.
        precision: ``fp32``, ``bf16`` (autocast), or ``auto``: bf16 where the device multiplies matrices in it.
        checkpoint: Which weights are kept: ``best`` by validation loss, or ``last``.
    """

    epochs: int = 100
    batch_size: int = 64
    accumulate: int = 1
    lr: float = 1.5e-4
    warmup_epochs: float = 5.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float | None = 1.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint: Literal["best", "last"] = "best"

    def __post_init__(self) -> None:
        rules = {
            f"epochs {self.epochs} must be at least 1": self.epochs >= 1,
            f"batch_size {self.batch_size} must be at least 1": self.batch_size >= 1,
            f"accumulate {self.accumulate} must be at least 1": self.accumulate >= 1,
            f"lr {self.lr:g} must be above 0 and finite": 0 < self.lr < math.inf,
            f"warmup_epochs {self.warmup_epochs:g} must be 0 or more and finite": 0 <= self.warmup_epochs < math.inf,
            f"weight_decay {self.weight_decay:g} must be 0 or more and finite": 0 <= self.weight_decay < math.inf,
            f"betas {self.betas} must be at least 0 and below 1": all(0 <= beta < 1 for beta in self.betas),
            f"clip {self.clip} must be above 0 and finite, or null": self.clip is None or 0 < self.clip < math.inf,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(broken[0])

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
