"""The head that looks at nothing: it predicts the share of each class among the training records, or their mean."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part


class PrevalenceHead(Head):
    """Predicts the same numbers for every record. It ranks no record above another, so its AUROC is 0.5."""

    no_export = "it reads nothing of the record"

    def fit(self, train: Part, val: Part) -> None:
        """Take the mean of the training targets."""
        self._mean = np.asarray(train.targets, np.float64).mean(axis=0)

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return the mean for each record, ``[R, C]``."""
        return np.tile(self._mean, (len(features), 1))

    def state(self) -> Arrays:
        """Return the mean."""
        return {"mean": self._mean}

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes."""
        self._mean = state["mean"]

    def choices(self) -> dict[str, Any]:
        """Return what is predicted."""
        return {"solver": "the mean of the training targets"}
