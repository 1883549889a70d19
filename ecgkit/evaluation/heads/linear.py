"""Linear probe: one logistic regression a label on standardised features, solved to convergence.

The inverse strength of the L2 penalty, C, is one of `GRID`, the same for all labels, chosen by the macro AUROC of the
validation part. Features are standardised by the training part.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ecgkit.evaluation.features import RecordFeatures
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.metrics import macro_auroc

GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
TOLERANCE = 1e-6
MAX_ITERATIONS = 5000


class LinearHead(Head):
    """See the module."""

    def fit(self, train: Part, val: Part) -> None:
        """Fit every C of the grid and keep the best on `val`; among equals the stronger penalty."""
        self._scaler = StandardScaler().fit(train.features["pooled"].astype(np.float64))
        x, x_val = (self._scaled(part.features) for part in (train, val))
        self._unconverged = 0
        fits = {C: [self._fit_label(x, y, C) for y in train.targets.T] for C in GRID}
        self._scores = {C: macro_auroc(val.targets, _probabilities(models, x_val)) for C, models in fits.items()}
        # With no class to score in val every score is NaN, and the strongest penalty is taken.
        self._C = max(GRID, key=lambda C: np.nan_to_num(self._scores[C], nan=-1.0))
        self._models = fits[self._C]

    def _scaled(self, features: RecordFeatures) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = self._scaler.transform(features["pooled"].astype(np.float64))
        return scaled

    def _fit_label(self, x: NDArray[np.float64], y: NDArray[np.int8], C: float) -> LogisticRegression | float:
        """Fit one label; a label with one class in training predicts that class's frequency."""
        if y.min() == y.max():
            return float(y[0])
        model = LogisticRegression(C=C, tol=TOLERANCE, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(x, y)
        self._unconverged += any(issubclass(w.category, ConvergenceWarning) for w in caught)
        return model

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        return _probabilities(self._models, self._scaled(features))

    def choices(self) -> dict[str, Any]:
        """Return the grid, its validation scores, and the choice."""
        return {
            "solver": f"L-BFGS, tolerance {TOLERANCE:g}, features standardised on train",
            "chosen": f"C = {self._C:g} "
            + ("by macro AUROC on val" if np.isfinite(self._scores[self._C]) else "for val scores no class"),
            "val_macro_auroc": {f"C = {C:g}": score for C, score in self._scores.items()},
            "fits_not_converged": self._unconverged,
        }


def _probabilities(models: list[LogisticRegression | float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = [np.full(len(x), m) if isinstance(m, float) else m.predict_proba(x)[:, 1] for m in models]
    return np.stack(columns, axis=1)
