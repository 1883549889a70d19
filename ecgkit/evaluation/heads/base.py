"""What a head is: it is fitted on the features of the training part, chooses on validation, and predicts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.features import RecordFeatures


@dataclass(frozen=True)
class Part:
    """Features and targets of one part of a task.

    Args:
        features: What the head needs of the records.
        targets: ``[R, C]`` of 0 and 1.
    """

    features: RecordFeatures
    targets: NDArray[np.int8]


class Head(ABC):
    """A classifier on frozen features.

    Args:
        seed: Of whatever is random in it.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        # By label, the name under which the model was trained on a class; empty for an unseen class. Zero-shot only.
        self.seen: dict[str, str] = {}

    @abstractmethod
    def fit(self, train: Part, val: Part) -> None:
        """Fit on `train`, choosing settings on `val`; the test part is never seen."""

    @abstractmethod
    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""

    @abstractmethod
    def choices(self) -> dict[str, Any]:
        """Return what was tried and chosen, for the protocol card."""
