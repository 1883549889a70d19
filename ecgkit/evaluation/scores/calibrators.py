"""Calibration of probabilities, fitted on validation records and never on test records.

- ``temperature``: one number T for all classes, ``p' = sigmoid(logit(p) / T)``, with the T of the lowest
  cross-entropy (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599, section 4.2, here for labels
  that do not exclude each other).
- ``isotonic``: for each class the rising step function nearest to the labels (Zadrozny and Elkan, KDD 2002), by
  scikit-learn. A class with only positives or only negatives on validation keeps its probabilities.

Both rise with the probability, so they change neither AUROC nor which records lie above a threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ecgkit.evaluation.scores.metrics import Floats, Targets

Way = Literal["temperature", "isotonic"]
WAYS: tuple[Way, ...] = ("temperature", "isotonic")
NEAREST = 1e-6  # a probability nearer to 0 or 1 counts as this far away, so that its logit is finite
HOTTEST = 100.0  # T is sought between 1 / HOTTEST and HOTTEST


@dataclass(frozen=True)
class Calibration:
    """Both calibrations of C classes.

    Args:
        temperature: T.
        steps: For each class the points of its rising function: probabilities and what they become, ``[2, n]``. Without
            points the probabilities stay.
    """

    temperature: float
    steps: tuple[Floats, ...]

    def apply(self, probabilities: Floats, way: Way) -> Floats:
        """Return calibrated probabilities, ``[R, C]``."""
        if way == "temperature":
            return np.asarray(expit(_logits(probabilities) / self.temperature))
        columns = [
            np.interp(column, *points) if points.size else column
            for column, points in zip(probabilities.T, self.steps, strict=True)
        ]
        return np.stack(columns, axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the calibration as arrays by name; `of` reads them."""
        steps = {f"isotonic.{c}": points for c, points in enumerate(self.steps)}
        return {"temperature": np.array([self.temperature]), **steps}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Calibration":
        """Return the calibration that `arrays` describes.

        Raises:
            KeyError: An array is missing.
        """
        classes = range(len(arrays) - 1)
        return cls(float(arrays["temperature"][0]), tuple(arrays[f"isotonic.{c}"] for c in classes))


def fit_calibration(targets: Targets, probabilities: Floats) -> Calibration:
    """Fit both calibrations.

    Args:
        targets: ``[R, C]`` of validation records.
        probabilities: ``[R, C]``.
    """
    return Calibration(_temperature(targets, probabilities), tuple(map(_steps, targets.T, probabilities.T)))


def _temperature(targets: Targets, probabilities: Floats) -> float:
    """Return the T of the lowest cross-entropy; 1 if there is no record."""
    from scipy.optimize import minimize_scalar  # slow to import, and not needed to apply a calibration

    if not targets.size:
        return 1.0
    logits, signs = _logits(probabilities), np.where(targets == 1, 1.0, -1.0)

    def loss(exponent: float) -> float:
        return float(np.logaddexp(0, -signs * logits / np.exp(exponent)).mean())

    found = minimize_scalar(loss, bounds=(-np.log(HOTTEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def _steps(targets: Targets, probabilities: Floats) -> Floats:
    from sklearn.isotonic import IsotonicRegression  # as above

    if not len(targets) or targets.min() == targets.max():
        return np.empty((2, 0))
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities, targets)
    return np.stack([fitted.X_thresholds_, fitted.y_thresholds_]).astype(np.float64)


def _logits(probabilities: Floats) -> Floats:
    return np.asarray(logit(np.clip(probabilities, NEAREST, 1 - NEAREST)))
