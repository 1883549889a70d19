"""The training recipe: optimiser, schedule and budget. `Recipe.lr_at` is the only learning-rate schedule."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from ecgkit import schedules

Schedule = Literal["cosine", "cosine-restarts", "linear", "inverse-square-root", "step", "constant"]


@dataclass(frozen=True)
class Recipe:
    """Optimiser, schedule and budget.

    Args:
        epochs: Passes over the training records.
        batch_size: Records per optimiser step, over all processes and all accumulated parts.
        accumulate: Number of parts into which each process cuts its share of a batch, to save memory. The parts run
            one after the other. A contrastive loss compares the records of one part only.
        lr: Peak learning rate at a batch of 256. It is scaled by batch_size / 256.
        warmup_epochs: Epochs of linear warm-up. Fractions are allowed.
        weight_decay: Weight decay: decoupled for AdamW, added to the gradient for the other optimisers.
        betas: Momentum terms of Adam and AdamW.
        clip: Largest gradient norm. None does not clip.
        precision: ``fp32``, ``bf16`` (autocast), or ``auto``: bf16 where the device multiplies matrices in it.
        checkpoint: Which weights are kept: ``best`` by `monitor`, or ``last``.
        schedule: How the learning rate falls after the warm-up, from the peak to `final_lr`. ``cosine``: half a cosine
            over the rest of the training. ``cosine-restarts``: half a cosine every `restart_steps` steps (Loshchilov
            and Hutter, arXiv 1608.03983). ``linear``: a straight line. ``inverse-square-root``: sqrt(w / e) after w of
            warm-up (Vaswani et al., arXiv 1706.03762, section 5.3). ``step``: times `drop_factor` at each of
            `drop_epochs`. ``constant``: it does not fall.
        final_lr: Lowest learning rate after the warm-up. It is absolute: it is not scaled by the batch size.
        warmup_steps: Optimiser steps of linear warm-up, in place of `warmup_epochs`.
        restart_steps: Optimiser steps between two restarts of ``cosine-restarts``.
        drop_epochs: Epochs at which ``step`` lowers the learning rate.
        drop_factor: Factor by which ``step`` lowers the learning rate.
        final_weight_decay: Weight decay that half a cosine reaches at the end. None keeps `weight_decay` throughout.
        decayed: Parameters that decay: ``matrices`` only (no biases, norms or single tokens), or ``all``.
        optimizer: ``adamw``, ``adam``, ``sgd`` or ``lars``. A method may build others (`Method.optimizer`).
        eps: Term of Adam and AdamW that keeps the denominator from 0.
        momentum: Momentum of SGD and LARS.
        monitor: Metric of ``metrics.jsonl`` that decides which epoch is the best, such as ``val_loss`` or
            ``probe_macro_auroc``. A higher score is better; a lower value of every other metric is better.
        patience: Number of epochs without a better value of `monitor` after which the training stops early. None does
            not stop early. The schedule is that of all epochs.
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
    schedule: Schedule = "cosine"
    final_lr: float = 0.0
    warmup_steps: int | None = None
    restart_steps: int = 5000
    drop_epochs: tuple[float, ...] = ()
    drop_factor: float = 0.1
    final_weight_decay: float | None = None
    decayed: Literal["matrices", "all"] = "matrices"
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    eps: float = 1e-8
    momentum: float = 0.9
    monitor: str = "val_loss"
    patience: int | None = None

    def __post_init__(self) -> None:
        final_decay = self.weight_decay if self.final_weight_decay is None else self.final_weight_decay
        no_warmup = self.warmup_steps == 0 or (self.warmup_steps is None and self.warmup_epochs == 0)
        rules = {
            f"epochs {self.epochs} must be at least 1": self.epochs >= 1,
            f"batch_size {self.batch_size} must be at least 1": self.batch_size >= 1,
            f"accumulate {self.accumulate} must be at least 1": self.accumulate >= 1,
            f"lr {self.lr:g} must be above 0 and finite": 0 < self.lr < math.inf,
            f"warmup_epochs {self.warmup_epochs:g} must be 0 or more and finite": 0 <= self.warmup_epochs < math.inf,
            f"weight_decay {self.weight_decay:g} must be 0 or more and finite": 0 <= self.weight_decay < math.inf,
            f"betas {self.betas} must be at least 0 and below 1": all(0 <= beta < 1 for beta in self.betas),
            f"clip {self.clip} must be above 0 and finite, or null": self.clip is None or 0 < self.clip < math.inf,
            f"final_lr {self.final_lr:g} must be 0 or more and finite": 0 <= self.final_lr < math.inf,
            f"final_weight_decay {final_decay:g} must be 0 or more and finite": 0 <= final_decay < math.inf,
            f"warmup_steps {self.warmup_steps} must be 0 or more, or null": (self.warmup_steps or 0) >= 0,
            f"restart_steps {self.restart_steps} must be at least 1": self.restart_steps >= 1,
            f"drop_factor {self.drop_factor:g} must be above 0 and below 1": 0 < self.drop_factor < 1,
            f"eps {self.eps:g} must be above 0 and finite": 0 < self.eps < math.inf,
            f"patience {self.patience} must be at least 1, or null": self.patience is None or self.patience >= 1,
            f"momentum {self.momentum:g} must be at least 0 and below 1": 0 <= self.momentum < 1,
            "schedule inverse-square-root needs a warm-up": self.schedule != "inverse-square-root" or not no_warmup,
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ValueError(broken[0])

    @property
    def peak_lr(self) -> float:
        """The highest learning rate, scaled by the batch size."""
        return self.lr * self.batch_size / 256

    def warmup(self, steps_per_epoch: int | None = None) -> float:
        """Return the length of the warm-up in epochs.

        Args:
            steps_per_epoch: Optimiser steps per epoch; needed if the recipe counts its warm-up in steps.
        """
        if self.warmup_steps is None:
            return self.warmup_epochs
        return self.warmup_steps / _needed(steps_per_epoch)

    def lr_at(self, epoch: float, steps_per_epoch: int | None = None) -> float:
        """Return the learning rate at a fractional epoch: linear warm-up to `peak_lr`, then the schedule.

        Args:
            epoch: Epochs completed.
            steps_per_epoch: Optimiser steps per epoch; needed if the recipe counts in steps.
        """
        warmup = self.warmup(steps_per_epoch)
        if epoch < warmup:
            return self.peak_lr * epoch / warmup
        after = epoch - warmup
        done = after / max(self.epochs - warmup, 1e-9)
        match self.schedule:
            case "cosine":
                return schedules.cosine(self.peak_lr, self.final_lr, done)
            case "cosine-restarts":
                # Rounded, because 2999.9999999 steps mean 3000.
                steps = round(after * _needed(steps_per_epoch), 6)
                return schedules.restarts(self.peak_lr, self.final_lr, steps, self.restart_steps)
            case "linear":
                return schedules.linear(self.peak_lr, self.final_lr, done)
            case "inverse-square-root":
                return max(self.final_lr, schedules.inverse_square_root(self.peak_lr, epoch, warmup))
            case "step":
                return max(self.final_lr, schedules.steps(self.peak_lr, epoch, self.drop_epochs, self.drop_factor))
            case "constant":
                return self.peak_lr

    def reached_lr(self, steps_per_epoch: int | None = None) -> float:
        """Return the highest learning rate of the training: below `peak_lr` if training ends during the warm-up."""
        return self.lr_at(min(self.warmup(steps_per_epoch), float(self.epochs)), steps_per_epoch)

    def weight_decay_at(self, progress: float) -> float:
        """Return the weight decay after a share of the optimiser steps."""
        if self.final_weight_decay is None:
            return self.weight_decay
        return schedules.cosine(self.weight_decay, self.final_weight_decay, progress)


# Settings that recipes of ecgkit 0.1 lack.
LATER = frozenset(field.name for field in fields(Recipe)[10:])


def _needed(steps_per_epoch: int | None) -> int:
    if steps_per_epoch is None:
        raise ValueError("this recipe counts in optimiser steps: the number of steps per epoch is needed")
    return steps_per_epoch
