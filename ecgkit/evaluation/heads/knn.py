"""Weighted nearest neighbours in frozen, pooled features. Nothing is trained, so only the features decide the score.

As in Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, arXiv 1805.01978, section
3.4, with several labels per record: with s_i the cosine of a record and training record i, over the k nearest,

    p_c = sum_i w_i y_ic / sum_i w_i,   w_i = exp(s_i / temperature)

k and temperature are chosen by the macro AUROC of the validation set; the earlier in the grid wins a tie.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.scores.metrics import macro_auroc

PIECE = 256  # records per batch
LARGEST = 2**29  # largest size of the training features that a result keeps, in bytes


@dataclass(frozen=True)
class KnnConfig:
    """Settings of the head.

    Args:
        k: Numbers of neighbours that are tried; each is limited to the number of training records.
        temperature: Temperatures that are tried. A lower one gives the nearest of the k neighbours more weight.
        standardize: First scale every feature to mean 0 and standard deviation 1 on the training set.
    """

    k: tuple[int, ...] = (5, 10, 20, 50, 100, 200)
    temperature: tuple[float, ...] = (0.03, 0.07, 0.2, 1.0)
    standardize: bool = False

    def __post_init__(self) -> None:
        if not self.k or min(self.k) < 1:
            raise ValueError(f"k {list(self.k)} must hold whole numbers from 1 on")
        if not self.temperature or min(self.temperature) <= 0:
            raise ValueError(f"temperature {list(self.temperature)} must hold numbers above 0")


class KnnHead(Head):
    """Nearest neighbours as a head; see the module.

    Args:
        seed: Not used; nothing is random.
        device: Not used; the head computes on the CPU, where the features are.
        config: Settings of the head; see `KnnConfig`.
    """

    no_export = "it compares each record with the training records"

    config: KnnConfig
    settings = KnnConfig

    def fit(self, train: Part, val: Part) -> None:
        """Keep the training records, and choose k and temperature on `val`."""
        # float32 would swap neighbours at almost the same distance.
        pooled = train.features["pooled"].astype(np.float64)
        ones = np.ones(pooled.shape[1])
        spread = pooled.std(0) if self.config.standardize else ones
        self._mean = pooled.mean(0) if self.config.standardize else 0 * ones
        self._spread = np.where(spread > 0, spread, 1)
        self._train, self._labels = self._unit(train.features), torch.from_numpy(train.targets).double()
        ks = sorted({min(k, len(pooled)) for k in self.config.k})
        grid = list(product(ks, self.config.temperature))
        self._scores = {
            at: macro_auroc(val.targets, p) for at, p in zip(grid, self._votes(val.features, grid), strict=True)
        }
        # If no class can be scored on the validation set, every score is NaN and the first of the grid is chosen.
        self._best = max(grid, key=lambda at: np.nan_to_num(self._scores[at], nan=-1.0))

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``: the weighted share of neighbours that have each label."""
        return self._votes(features, [self._best])[0]

    def state(self) -> Arrays | None:
        """Return the training features and labels with the chosen k; None if they are larger than `LARGEST`."""
        if self._train.nbytes > LARGEST:
            return None
        k, temperature = self._best
        return {
            "mean": self._mean,
            "spread": self._spread,
            "train": self._train.numpy(),
            "labels": self._labels.numpy().astype(np.int8),
            "k": np.array([k]),
            "temperature": np.array([temperature]),
        }

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes."""
        self._mean, self._spread = state["mean"], state["spread"]
        self._train, self._labels = torch.from_numpy(state["train"]), torch.from_numpy(state["labels"]).double()
        self._best = int(state["k"][0]), float(state["temperature"][0])

    def choices(self) -> dict[str, Any]:
        """Return the grid, its validation scores, and the chosen values."""
        scored = np.isfinite(self._scores[self._best])
        k, temperature = self._best
        return {
            "solver": f"cosine to {len(self._train)} training records"
            + (", features standardised on train" if self.config.standardize else ""),
            "chosen": f"k = {k}, temperature = {temperature:g} "
            + ("by macro AUROC on val" if scored else "for val scores no class"),
            "val_macro_auroc": {f"k = {k}, temperature = {t:g}": score for (k, t), score in self._scores.items()},
        }

    def _unit(self, features: RecordFeatures) -> Tensor:
        scaled = (features["pooled"] - self._mean) / self._spread
        return torch.nn.functional.normalize(torch.from_numpy(scaled), dim=1)

    def _votes(self, features: RecordFeatures, grid: list[tuple[int, float]]) -> list[NDArray[np.float64]]:
        """Return probabilities ``[R, C]`` for every k and temperature."""
        pieces = [[_vote(cosine, labels, *at) for at in grid] for cosine, labels in self._neighbours(features, grid)]
        return [torch.cat(column).numpy() for column in zip(*pieces, strict=True)]

    def _neighbours(self, features: RecordFeatures, grid: list[tuple[int, float]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the cosines ``[B, k]`` and labels ``[B, k, C]`` of the nearest neighbours, batch by batch."""
        most = max(k for k, _ in grid)
        for unit in torch.split(self._unit(features), PIECE):
            cosine, nearest = (unit @ self._train.T).topk(most, dim=1)
            yield cosine, self._labels[nearest]


def _vote(cosine: Tensor, labels: Tensor, k: int, temperature: float) -> Tensor:
    weights = ((cosine[:, :k] - cosine[:, :1]) / temperature).exp()
    with_label = torch.einsum("bk,bkc->bc", weights, labels[:, :k])
    without = torch.einsum("bk,bkc->bc", weights, 1 - labels[:, :k])
    # Exactly 1 where all neighbours have the label, so that such records tie.
    return with_label / (with_label + without)
