"""Gradient-boosted trees on pooled features: for few, unlike features, such as measurements.

scikit-learn's `HistGradientBoostingClassifier`, after Ke et al., LightGBM, NeurIPS 2017: one model per class, whose
number of trees is chosen by the log loss on the validation set. A class with one value in training is predicted at its
share. Regressions are chosen by the squared error.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Head, Part

Floats = NDArray[np.float64]
CLIP = 1e-6  # no probability is 0 or 1


@dataclass(frozen=True)
class BoostingConfig:
    """Gradient-boosted trees.

    Args:
        trees: Trees at most.
        rate: Learning rate.
        leaves: Leaves per tree.
        smallest: Fewest records per leaf.
        l2: Penalty on the values of the leaves.
    """

    trees: int = 200
    rate: float = 0.05
    leaves: int = 15
    smallest: int = 20
    l2: float = 1.0

    def __post_init__(self) -> None:
        if min(self.trees, self.smallest) < 1 or self.leaves < 2:
            raise ValueError("trees and smallest must be at least 1, and leaves at least 2")
        if not self.rate > 0 or self.l2 < 0:
            raise ValueError(f"rate {self.rate:g} must be above 0, and l2 {self.l2:g} 0 or more")


class Boosted(Head):
    """Trees for each column of the targets; see the module."""

    no_export = "its trees are no torch module"

    settings = BoostingConfig

    @abstractmethod
    def model(self, trees: int) -> Any:
        """Return a model of so many trees that is not fitted."""

    @abstractmethod
    def staged(self, model: Any, x: Floats) -> Iterator[Floats]:
        """Yield the predictions ``[R]`` after each tree."""

    @abstractmethod
    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the mean loss of predictions ``[R]``."""

    def fit(self, train: Part, val: Part) -> None:
        """Fit each column on `train`, with as many trees as are best on `val`."""
        x, seen = train.features["pooled"], val.features["pooled"]
        self._models: list[Any] = []
        self._trees: list[int] = []
        self._means = np.asarray(train.targets, np.float64).mean(axis=0)
        columns = train.targets.shape[1]
        for c in range(columns):
            y = np.asarray(train.targets[:, c], np.float64)
            self._models.append(self._chosen(x, y, seen, val.targets[:, c]) if np.ptp(y) else None)
            self._trees.append(0 if self._models[-1] is None else self._models[-1].n_iter_)
            self.watch(c + 1, columns)

    def _chosen(self, x: Floats, y: Floats, seen: Floats, target: Floats) -> Any:
        model = self.model(self.config.trees).fit(x, y)
        if not len(seen):
            return model
        losses = [self.loss(predicted, target) for predicted in self.staged(model, seen)]
        best = int(np.argmin(losses)) + 1
        # Trees follow each other, so fewer trees are the first ones of many.
        return model if best == len(losses) else self.model(best).fit(x, y)

    def predict(self, features: RecordFeatures) -> Floats:
        """Return predictions ``[R, C]``."""
        x = features["pooled"]
        found = np.tile(self._means, (len(x), 1))
        for c, model in enumerate(self._models):
            if model is not None and len(x):
                *_, found[:, c] = self.staged(model, x)
        return found

    def choices(self) -> dict[str, Any]:
        """Return the settings and the number of trees of each class."""
        return {
            "solver": f"gradient-boosted trees, {self.config.leaves} leaves, learning rate {self.config.rate:g}",
            "chosen": f"trees = {', '.join(map(str, self._trees))} by loss on val, of {self.config.trees} at most",
        }

    def _sizes(self) -> dict[str, Any]:
        return {
            "learning_rate": self.config.rate,
            "max_leaf_nodes": self.config.leaves,
            "min_samples_leaf": self.config.smallest,
            "l2_regularization": self.config.l2,
            "early_stopping": False,
            "random_state": self.seed,
        }


class BoostingHead(Boosted):
    """Classes; predictions are probabilities."""

    def model(self, trees: int) -> Any:
        """See `Boosted.model`."""
        return HistGradientBoostingClassifier(max_iter=trees, **self._sizes())

    def staged(self, model: Any, x: Floats) -> Iterator[Floats]:
        """See `Boosted.staged`."""
        return (both[:, 1] for both in model.staged_predict_proba(x))

    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the log loss."""
        p = np.clip(predicted, CLIP, 1 - CLIP)
        return float(-np.where(target > 0, np.log(p), np.log(1 - p)).mean())


class BoostingRegressor(Boosted):
    """Numbers, in the units of the targets."""

    def model(self, trees: int) -> Any:
        """See `Boosted.model`."""
        return HistGradientBoostingRegressor(max_iter=trees, **self._sizes())

    def staged(self, model: Any, x: Floats) -> Iterator[Floats]:
        """See `Boosted.staged`."""
        yield from model.staged_predict(x)

    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the squared error."""
        return float(np.square(predicted - target).mean())
