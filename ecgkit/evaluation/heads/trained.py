"""Heads that are trained by gradient descent on fixed features. All features are held in memory.

Training uses the steps of `ecgkit.training.fitting` with binary cross-entropy. The epoch is chosen by the macro AUROC
of the validation set, or by its loss if no class can be scored. The same seed gives the same result.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.config import to_dict
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part, inputs_of
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.optimizers import OPTIMIZERS, build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.training.fitting import check_whole_batches, fit_epochs
from ecgkit.training.optimization import Optimization, trained_parameters

# As in CLEAR-HUG's released code: weight decay on all parameters, no gradient clipping. float32, as features are small.
RECIPE = Recipe(
    epochs=100,
    batch_size=256,
    lr=5e-3,
    warmup_epochs=10.0,
    weight_decay=0.05,
    betas=(0.9, 0.999),
    clip=None,
    precision="fp32",
    final_lr=1e-5,
    decayed="all",
)


@dataclass(frozen=True)
class HeadConfig:
    """Settings of a trained head.

    Args:
        recipe: Training recipe. Its batch size is halved until the training set fills one batch.
    """

    recipe: Recipe = RECIPE

    def __post_init__(self) -> None:
        check_whole_batches(self.recipe)


class TrainedHead(Head):
    """A head that trains a torch module on features; a subclass provides the module.

    Args:
        seed: Seed of the weights, the order of records and dropout.
        device: Device to compute on.
        config: Settings of the head.
    """

    piece: ClassVar[int] = 4096  # records per batch of predictions
    reads: ClassVar[tuple[str, ...]] = ()  # names of the inputs of the module; see `Head.module`
    config: HeadConfig

    @abstractmethod
    def build(self, train: Part) -> nn.Module:
        """Return the module, which maps its inputs to logits ``[B, C]``."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the features that are extracted for the inputs of the module."""
        return tuple(name for name in self.reads if name not in ("present", "token_real"))

    @property
    def trained(self) -> nn.Module:
        """The module with its weights so far, in the mode that it is in."""
        return self._model

    def begin(self, like: Part) -> None:
        """Take new weights for features and targets of the shapes of a part."""
        self._model = self.build(like).to(self.device)

    def fit(self, train: Part, val: Part) -> None:
        """Train, and keep the weights of the epoch that is best on `val`; the earliest wins a tie."""
        device = self.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            self.begin(train)
            self._train(train, val)

    def _train(self, train: Part, val: Part) -> None:
        recipe, model, device = self.config.recipe, self._model, self.device
        x = tuple(part.to(device) for part in inputs_of(train.features, self.reads))
        y = torch.from_numpy(train.targets).float().to(device)
        size = recipe.batch_size
        while size > len(y) and size > 1:
            size //= 2
        # Not fused: the fused kernel rounds differently, and published results of these heads were made without it.
        optimizer = build_optimizer(recipe, trained_parameters(model), fused=False)
        scores: list[float] = []

        def batches(epoch: int) -> tuple[int, Iterable[Tensor]]:
            # The last, incomplete batch is dropped: it could hold a single record, which has no batch statistics.
            order = torch.randperm(len(y)).to(device)
            return len(y) // size, torch.split(order[: len(y) // size * size], size)

        def loss(rows: Tensor) -> tuple[Tensor, int]:
            return F.binary_cross_entropy_with_logits(model(*(part[rows] for part in x)).float(), y[rows]), len(rows)

        def judge(epoch: int, mean: float) -> tuple[float, ...]:
            score, merit = self._judge(val)
            scores.append(score)
            return merit

        optimization = Optimization(recipe, device, optimizer)
        self._epoch = fit_epochs(model, optimization, batches, loss, judge, self.watch)
        self._score, self._reached = scores[self._epoch - 1], recipe.reached_lr(len(y) // size)

    def _judge(self, val: Part) -> tuple[float, tuple[float, float]]:
        """Return the macro AUROC on `val`, and the score to compare epochs by: the AUROC, or the loss if it is NaN."""
        p = self.predict(val.features)
        score = macro_auroc(val.targets, p)
        inside = p.clip(1e-12, 1 - 1e-12)
        loss = -np.where(val.targets == 1, np.log(inside), np.log1p(-inside)).mean() if p.size else 0.0
        return score, ((score, 0.0) if math.isfinite(score) else (-1.0, -float(loss)))

    @torch.no_grad()
    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        self._model.eval()
        parts = zip(*(torch.split(part, self.piece) for part in inputs_of(features, self.reads)), strict=True)
        logits = [self._model(*(piece.to(self.device) for piece in pieces)) for pieces in parts]
        probabilities: NDArray[np.float64] = torch.cat(logits).double().sigmoid().cpu().numpy()
        return probabilities

    def state(self) -> Arrays:
        """Return the weights of the module."""
        return {name: value.detach().cpu().numpy() for name, value in self._model.state_dict().items()}

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes."""
        with torch.random.fork_rng(devices=[]):
            self._model = self.build(like)
        self._model.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in state.items()})
        self._model.to(self.device).eval()

    def module(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the trained module."""
        return self._model.eval(), self.reads

    def choices(self) -> dict[str, Any]:
        """Return the settings, the number of parameters and the chosen epoch."""
        recipe = self.config.recipe
        settings = {name: value for name, value in to_dict(self.config).items() if name != "recipe"}
        scored = math.isfinite(self._score)
        how = f"by macro AUROC on val ({self._score:.4f})" if scored else "by loss, for val scores no class"
        return {
            **settings,
            "solver": f"{OPTIMIZERS[recipe.optimizer]}, {recipe.epochs} epochs, batch {recipe.batch_size} at most, "
            f"peak lr {self._reached:g}, weight decay {recipe.weight_decay:g}, "
            f"{sum(p.numel() for p in self._model.parameters() if p.requires_grad):,} trained parameters",
            "chosen": f"epoch {self._epoch} {how}",
        }
