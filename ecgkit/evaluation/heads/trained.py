"""Heads that are trained by gradient on features that do not change: the whole matrix lies in memory.

AdamW (arXiv 1711.05101) with linear warm-up and a cosine, binary cross-entropy, and the epoch that validation likes
best by macro AUROC, or by loss where no class can be scored. With one seed everything is repeatable.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.config import to_dict
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.scores.metrics import macro_auroc


@dataclass(frozen=True)
class Fit:
    """How a head is trained; defaults are those of CLEAR-HUG's released code.

    Args:
        epochs: Passes over the training part.
        batch_size: Records a step, halved until the training part fills a batch.
        lr: Peak learning rate.
        warmup_epochs: Epochs of linear warm-up.
        final_lr: Learning rate at the end of the cosine.
        weight_decay: AdamW's, on everything.
    """

    epochs: int = 100
    batch_size: int = 256
    lr: float = 5e-3
    warmup_epochs: float = 10.0
    final_lr: float = 1e-5
    weight_decay: float = 0.05

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs {self.epochs} and batch_size {self.batch_size} must be at least 1")
        if not 0 < self.lr < math.inf or self.weight_decay < 0 or self.warmup_epochs < 0 or self.final_lr < 0:
            raise ValueError(f"lr {self.lr:g} must be above 0; decay, warm-up and final_lr must not be negative")

    def lr_at(self, epoch: float) -> float:
        """Return the learning rate at a fractional epoch."""
        if epoch < self.warmup_epochs:
            return self.lr * epoch / self.warmup_epochs
        share = min(1.0, (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9))
        return self.final_lr + (self.lr - self.final_lr) * 0.5 * (1 + math.cos(math.pi * share))


@dataclass(frozen=True)
class HeadConfig:
    """Settings of a trained head.

    Args:
        fit: How it is trained.
    """

    fit: Fit = field(default_factory=Fit)


class TrainedHead(Head):
    """A head that is a torch module on features; a subclass says which module.

    Args:
        seed: Of weights, order and dropout.
        config: Its settings.
    """

    piece: ClassVar[int] = 4096  # records that are predicted at once

    def __init__(self, *, seed: int = 0, config: HeadConfig) -> None:
        super().__init__(seed=seed)
        self.config = config

    @abstractmethod
    def build(self, train: Part) -> nn.Module:
        """Return the module, which maps what `inputs` gives to logits ``[B, C]``."""

    @abstractmethod
    def inputs(self, features: RecordFeatures) -> tuple[Tensor, ...]:
        """Return the module's inputs, all of them ``[R, ...]``."""

    def fit(self, train: Part, val: Part) -> None:
        """Train, and keep the weights of the epoch that `val` likes best; among equals the earliest."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            self._model = self.build(train).to(device)
            self._train(train, val, device)

    def _train(self, train: Part, val: Part, device: torch.device) -> None:
        fit = self.config.fit
        model = self._model
        x = tuple(part.to(device) for part in self.inputs(train.features))
        y = torch.from_numpy(train.targets).float().to(device)
        size = fit.batch_size
        while size > len(y) and size > 1:
            size //= 2
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=fit.lr, weight_decay=fit.weight_decay)
        best, self._epoch, self._score = (-math.inf, -math.inf), 0, math.nan
        state = _copy(model)
        # The last, incomplete batch is left out, as it could hold one record, which has no batch statistics.
        steps = len(y) // size
        for epoch in range(fit.epochs):
            model.train()
            order = torch.randperm(len(y)).to(device)
            for i in range(steps):
                rows = order[i * size : (i + 1) * size]
                for group in optimizer.param_groups:
                    group["lr"] = fit.lr_at(epoch + (i + 1) / steps)
                loss = F.binary_cross_entropy_with_logits(model(*(part[rows] for part in x)), y[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            score, merit = self._judge(val)
            if merit > best:
                best, self._epoch, self._score, state = merit, epoch + 1, score, _copy(model)
            self.watch(epoch + 1, fit.epochs)
        model.load_state_dict(state)

    def _judge(self, val: Part) -> tuple[float, tuple[float, float]]:
        """Return the macro AUROC on `val`, and what epochs are compared by: it, or the loss where it is NaN."""
        p = self.predict(val.features)
        score = macro_auroc(val.targets, p)
        inside = p.clip(1e-12, 1 - 1e-12)
        loss = -np.where(val.targets == 1, np.log(inside), np.log1p(-inside)).mean() if p.size else 0.0
        return score, ((score, 0.0) if math.isfinite(score) else (-1.0, -float(loss)))

    @torch.no_grad()
    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        self._model.eval()
        device = next(self._model.parameters()).device
        parts = zip(*(torch.split(part, self.piece) for part in self.inputs(features)), strict=True)
        logits = [self._model(*(piece.to(device) for piece in pieces)) for pieces in parts]
        probabilities: NDArray[np.float64] = torch.cat(logits).double().sigmoid().cpu().numpy()
        return probabilities

    def choices(self) -> dict[str, Any]:
        """Return the settings, the size and the chosen epoch."""
        settings = {name: value for name, value in to_dict(self.config).items() if name != "fit"}
        scored = math.isfinite(self._score)
        how = f"by macro AUROC on val ({self._score:.4f})" if scored else "by loss, for val scores no class"
        return {
            **settings,
            "solver": f"AdamW, {self.config.fit.epochs} epochs, batch {self.config.fit.batch_size} at most, "
            f"peak lr {self.config.fit.lr:g}, weight decay {self.config.fit.weight_decay:g}, "
            f"{sum(p.numel() for p in self._model.parameters() if p.requires_grad):,} trained parameters",
            "chosen": f"epoch {self._epoch} {how}",
        }


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
