"""Linear probe: one logistic regression per label on standardised features, solved to convergence.

C, the inverse strength of the L2 penalty, is chosen from `GRID` by the macro AUROC of the validation set, and is the
same for all labels. Features are standardised on the training set. All labels and penalties are solved together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.preprocessing import StandardScaler

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.heads.layers import CONSTANT, Linear
from ecgkit.evaluation.heads.logistic import TOLERANCE, LogisticModels, fit_logistic
from ecgkit.evaluation.heads.scaling import scaler_of
from ecgkit.evaluation.scores.metrics import macro_auroc

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class LinearHead(Head):
    """The linear probe as a head; see the module. It always computes on the CPU, where the features are."""

    def fit(self, train: Part, val: Part) -> None:
        """Fit every C of the grid and keep the best on `val`; the stronger penalty wins a tie."""
        self._scaler = StandardScaler().fit(train.features["pooled"].astype(np.float64))
        # A label with only positives or only negatives in training cannot be fitted: it always predicts that class.
        self._constant = np.where(train.targets.min(0) == train.targets.max(0), train.targets[0], -1)
        self._learnt = np.flatnonzero(self._constant < 0)
        self._models = fit_logistic(self._scaled(train.features), train.targets[:, self._learnt], GRID)
        probabilities = self._probabilities(val.features)
        self._scores = {C: macro_auroc(val.targets, p) for C, p in zip(GRID, probabilities, strict=True)}
        # If no class can be scored on the validation set, every score is NaN and the strongest penalty is chosen.
        self._C = max(GRID, key=lambda C: np.nan_to_num(self._scores[C], nan=-1.0))
        self._chosen = self._models.only(GRID.index(self._C))

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        return self._spread(self._chosen.logits(self._scaled(features)))[0]

    def state(self) -> Arrays:
        """Return the scaling, the chosen weights, and the labels that were constant in training (-1 if they vary)."""
        return {
            "mean": self._scaler.mean_,
            "scale": self._scaler.scale_,
            "weights": self._chosen.weights[0],
            "bias": self._chosen.bias[0],
            "constant": self._constant.astype(np.int64),
        }

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes."""
        self._scaler = scaler_of(state)
        self._constant = state["constant"]
        self._learnt = np.flatnonzero(self._constant < 0)
        self._chosen = LogisticModels.of(state["weights"], state["bias"])

    def module(self) -> tuple[Linear, tuple[str, ...]]:
        """Return the logistic regressions on pooled features, with the scaling folded into their weights."""
        C = len(self._constant)
        weights, bias = np.zeros((C, len(self._scaler.mean_))), np.zeros(C)
        folded = self._chosen.weights[0] / self._scaler.scale_
        weights[self._learnt], bias[self._learnt] = folded, self._chosen.bias[0] - folded @ self._scaler.mean_
        return Linear(weights, bias, self._constant), ("pooled",)

    def layer(self) -> Arrays:
        """Return the weights of the linear layer in float32 that predicts the same, as ``nn.Linear`` names them."""
        same, _ = self.module()
        weights, bias, constant = (value.numpy() for value in (same.weights, same.bias, same.constant))
        # A label that was constant in training reads nothing, and keeps its class by its bias.
        return {
            "weight": np.where(constant < 0, weights, 0).T.astype(np.float32),
            "bias": np.where(constant < 0, bias, CONSTANT * (2 * constant - 1)).astype(np.float32),
        }

    def choices(self) -> dict[str, Any]:
        """Return the grid, its validation scores, and the chosen C."""
        return {
            "solver": f"L-BFGS, tolerance {TOLERANCE:g}, features standardised on train",
            "chosen": f"C = {self._C:g} "
            + ("by macro AUROC on val" if np.isfinite(self._scores[self._C]) else "for val scores no class"),
            "val_macro_auroc": {f"C = {C:g}": score for C, score in self._scores.items()},
            "fits_not_converged": int((~self._models.converged).sum()),
        }

    def _scaled(self, features: RecordFeatures) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = self._scaler.transform(features["pooled"].astype(np.float64))
        return scaled

    def _probabilities(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[G, R, C]`` for the G penalties of the grid."""
        return self._spread(self._models.logits(self._scaled(features)))

    def _spread(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities ``[G, R, C]`` of all labels from logits of those that were learnt."""
        out = np.tile(self._constant.astype(np.float64), (*logits.shape[:2], 1))
        out[..., self._learnt] = expit(logits)
        return out
