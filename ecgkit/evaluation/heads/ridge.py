"""Ridge regression on frozen features, solved in closed form for all penalties and targets together.

On features standardised by the training part and centred targets (Hoerl and Kennard, Technometrics 12:55-67, 1970),

    b(lambda) = (X'X + n lambda I)^-1 X'y = V (D + n lambda)^-1 V'X'y,    X'X = V D V'

so one eigendecomposition serves the whole grid. The penalty of each target is chosen from `GRID` by the squared error
on the validation set; the stronger penalty wins a tie. ``n lambda`` is scikit-learn's ``alpha``.
"""

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import nn

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.heads.layers import Linear
from ecgkit.evaluation.heads.scaling import scaler_of

# Our choice: from almost no penalty to one that shrinks predictions to almost the mean.
GRID = (1e3, 1e2, 1e1, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)

Floats = NDArray[np.float64]


def ridge_path(x: Floats, y: Floats, penalties: Floats) -> Floats:
    """Solve ridge regressions without intercept, all together.

    Args:
        x: ``[n, D]``, centred.
        y: ``[n, C]``, centred.
        penalties: ``[G]``, above 0; each is multiplied by n.

    Returns:
        Coefficients ``[G, D, C]``.
    """
    values, vectors = scipy.linalg.eigh(x.T @ x)
    rotated = vectors.T @ (x.T @ y)  # (D, C)
    shrunk = rotated / (values[:, None] + len(x) * penalties[:, None, None])  # (G, D, C)
    return np.asarray(vectors @ shrunk)


class RidgeHead(Head):
    """Ridge regression as a head; see the module. Predictions are in the units of the targets."""

    def fit(self, train: Part, val: Part) -> None:
        """Solve for all penalties of the grid and keep the best on `val`."""
        self._scaler = StandardScaler().fit(train.features["pooled"].astype(np.float64))
        self._mean = train.targets.mean(axis=0)
        self._path = ridge_path(self._scaled(train.features), train.targets - self._mean, np.array(GRID))
        predicted = self._scaled(val.features) @ self._path + self._mean  # (G, R, C)
        self._errors = np.square(predicted - val.targets).mean(axis=1)
        self._best = self._errors.argmin(axis=0)  # argmin takes the first of a tie, which has the strongest penalty
        self._chosen = self._path[self._best, :, np.arange(len(self._best))]  # (C, D)

    def predict(self, features: RecordFeatures) -> Floats:
        """Return predictions ``[R, C]``."""
        return np.asarray(self._scaled(features) @ self._chosen.T + self._mean)

    def state(self) -> Arrays:
        """Return the scaling, the chosen coefficients and the means of the targets."""
        scaler = self._scaler
        return {"mean": scaler.mean_, "scale": scaler.scale_, "weights": self._chosen, "bias": self._mean}

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes."""
        self._scaler, self._chosen, self._mean = scaler_of(state), state["weights"], state["bias"]

    def module(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the regressions on pooled features, with the scaling folded into their weights."""
        folded = self._chosen / self._scaler.scale_
        return Linear(folded, self._mean - folded @ self._scaler.mean_, None), ("pooled",)

    def choices(self) -> dict[str, Any]:
        """Return the grid, its root mean squared errors on the validation set, and the chosen penalties."""
        errors = np.sqrt(self._errors)
        return {
            "solver": "ridge regression in closed form, features standardised on train, intercept not penalised",
            "chosen": f"lambda = {', '.join(f'{GRID[best]:g}' for best in self._best)} by squared error on val",
            "val_rmse": {
                f"lambda = {penalty:g}": ", ".join(f"{value:.4g}" for value in row)
                for penalty, row in zip(GRID, errors, strict=True)
            },
        }

    def _scaled(self, features: RecordFeatures) -> Floats:
        return np.asarray(self._scaler.transform(features["pooled"].astype(np.float64)))
