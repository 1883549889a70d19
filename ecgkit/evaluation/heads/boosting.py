"""Gradient-boosted trees on pooled features: for few, unlike features, such as measurements.

scikit-learn's `HistGradientBoostingClassifier`, after Ke et al., LightGBM, NeurIPS 2017: one model per class, whose
number of trees is chosen by the log loss on the validation set. A class with one value in training is predicted at its
share. Regressions are chosen by the squared error. The fitted trees are kept and run as arrays, without scikit-learn:
see `ecgkit.evaluation.heads.forest`.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.heads.forest import VARIES, Forest, grown

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

    # A tree jumps at its thresholds, and an ONNX model rounds features differently: both sides would not agree to 1e-4.
    no_export = "its trees jump at thresholds, and a last digit of a feature may cross one"

    settings = BoostingConfig
    classes: ClassVar[bool] = True

    @abstractmethod
    def model(self) -> Any:
        """Return a model that is not fitted."""

    @abstractmethod
    def staged(self, model: Any, x: NDArray[np.float32]) -> Iterator[Floats]:
        """Yield the predictions ``[R]`` after each tree."""

    @abstractmethod
    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the mean loss of predictions ``[R]``."""

    def fit(self, train: Part, val: Part) -> None:
        """Fit each column on `train`, with as many trees as are best on `val`."""
        x, seen = (np.asarray(part.features["pooled"], np.float32) for part in (train, val))
        models: list[Any] = []
        trees: list[int] = []
        columns = train.targets.shape[1]
        for c in range(columns):
            y = np.asarray(train.targets[:, c], np.float64)
            models.append(self.model().fit(x, y) if np.ptp(y) else None)
            trees.append(0 if models[c] is None else self._best(models[c], seen, val.targets[:, c]))
            self.watch(c + 1, columns)
        first = np.asarray(train.targets[0], np.float64)
        fixed = np.array([self.classes and model is None for model in models], bool)
        self._forest = grown(models, trees, first, np.where(fixed, first, VARIES))

    def _best(self, model: Any, seen: NDArray[np.float32], target: Floats) -> int:
        """Return the number of trees with the lowest loss on the validation part; all trees if it is empty."""
        if not len(seen):
            return int(model.n_iter_)
        return int(np.argmin([self.loss(predicted, target) for predicted in self.staged(model, seen)])) + 1

    def predict(self, features: RecordFeatures) -> Floats:
        """Return predictions ``[R, C]``."""
        found, constant = self._forest.logits(features["pooled"]), self._forest.constant
        return np.where(constant == VARIES, expit(found), constant) if self.classes else found

    def state(self) -> Arrays:
        """Return the arrays of the trees."""
        return self._forest.arrays()

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes, after checking each node; see `Forest.of`."""
        (features,), (columns,) = like.features["pooled"].shape[1:], like.targets.shape[1:]
        self._forest = Forest.of(state, columns=columns, features=features, leaves=self.config.leaves)

    def choices(self) -> dict[str, Any]:
        """Return the settings and the number of trees of each class."""
        trees = ", ".join(map(str, self._forest.trees))
        return {
            "solver": f"gradient-boosted trees, {self.config.leaves} leaves, learning rate {self.config.rate:g}",
            "chosen": f"trees = {trees} by loss on val, of {self.config.trees} at most",
        }

    def _sizes(self) -> dict[str, Any]:
        return {
            "max_iter": self.config.trees,
            "learning_rate": self.config.rate,
            "max_leaf_nodes": self.config.leaves,
            "min_samples_leaf": self.config.smallest,
            "l2_regularization": self.config.l2,
            "early_stopping": False,
            "random_state": self.seed,
        }


class BoostingHead(Boosted):
    """Classes; predictions are probabilities."""

    def model(self) -> Any:
        """See `Boosted.model`."""
        return HistGradientBoostingClassifier(**self._sizes())

    def staged(self, model: Any, x: NDArray[np.float32]) -> Iterator[Floats]:
        """See `Boosted.staged`."""
        return (both[:, 1] for both in model.staged_predict_proba(x))

    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the log loss."""
        p = np.clip(predicted, CLIP, 1 - CLIP)
        return float(-np.where(target > 0, np.log(p), np.log(1 - p)).mean())


class BoostingRegressor(Boosted):
    """Numbers, in the units of the targets."""

    classes = False

    def model(self) -> Any:
        """See `Boosted.model`."""
        return HistGradientBoostingRegressor(**self._sizes())

    def staged(self, model: Any, x: NDArray[np.float32]) -> Iterator[Floats]:
        """See `Boosted.staged`."""
        yield from model.staged_predict(x)

    def loss(self, predicted: Floats, target: Floats) -> float:
        """Return the squared error."""
        return float(np.square(predicted - target).mean())
