"""Weighted nearest neighbours in frozen, pooled features: nothing is trained, so nothing hides what they hold.

As in Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination, arXiv 1805.01978, section
3.4, with several labels per record: with s_i the cosine of a record and training record i, over the k nearest,

    p_c = sum_i w_i y_ic / sum_i w_i,   w_i = exp(s_i / temperature)

k and temperature are chosen by the macro AUROC of the validation part; among equals the earlier in the grid.
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
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.scores.metrics import macro_auroc

PIECE = 256  # records whose neighbours are held at once


@dataclass(frozen=True)
class KnnConfig:
    """Settings of the head.

    Args:
        k: Numbers of neighbours that are tried; no more than there are training records.
        temperature: Temperatures that are tried; the smaller, the more the nearest of the k count.
        standardize: Give every feature mean 0 and deviation 1 on the training part first.
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
    """See the module.

    Args:
        seed: Not used; nothing is random.
        device: Not used; it computes on the CPU, where the features lie.
        config: See `KnnConfig`.
    """

    config: KnnConfig
    settings = KnnConfig

    def fit(self, train: Part, val: Part) -> None:
        """Keep the training records, and choose k and temperature on `val`."""
        pooled = train.features["pooled"].astype(np.float64)  # in float32, records nearly as near change places
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
        # With no class to score in val every score is NaN, and the first of the grid is taken.
        self._best = max(grid, key=lambda at: np.nan_to_num(self._scores[at], nan=-1.0))

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``: the weighted share of the neighbours that have a label."""
        return self._votes(features, [self._best])[0]

    def choices(self) -> dict[str, Any]:
        """Return the grid, its validation scores, and the choice."""
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
        """Return ``[R, C]`` for every k and temperature."""
        pieces = [[_vote(cosine, labels, *at) for at in grid] for cosine, labels in self._neighbours(features, grid)]
        return [torch.cat(column).numpy() for column in zip(*pieces, strict=True)]

    def _neighbours(self, features: RecordFeatures, grid: list[tuple[int, float]]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield for some records at a time the cosines ``[B, k]`` and labels ``[B, k, C]`` of the most neighbours."""
        most = max(k for k, _ in grid)
        for unit in torch.split(self._unit(features), PIECE):
            cosine, nearest = (unit @ self._train.T).topk(most, dim=1)
            yield cosine, self._labels[nearest]


def _vote(cosine: Tensor, labels: Tensor, k: int, temperature: float) -> Tensor:
    weights = ((cosine[:, :k] - cosine[:, :1]) / temperature).exp()
    with_label = torch.einsum("bk,bkc->bc", weights, labels[:, :k])
    without = torch.einsum("bk,bkc->bc", weights, 1 - labels[:, :k])
    return with_label / (with_label + without)  # exactly 1 where all have it: such records tie
