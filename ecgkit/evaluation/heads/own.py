"""The encoder's own classifier as a head: nothing is fitted.

It is for a model that was trained on the labels of the task. Logits are averaged over the evaluation crops of the
signal contract, as in published supervised models, and then turned into probabilities.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import nn

from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Arrays, Head, Part
from ecgkit.evaluation.scores.metrics import macro_auroc


class OwnHead(Head):
    """The encoder's own classifier as a head; see the module."""

    def fit(self, train: Part, val: Part) -> None:
        """Score the classifier on `val`; `train` is not used."""
        self._score = macro_auroc(val.targets, self.predict(val.features))

    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``."""
        probabilities: NDArray[np.float64] = expit(features["logits"].astype(np.float64))
        return probabilities

    def state(self) -> Arrays:
        """Return no array: the encoder holds the classifier."""
        return {}

    def restore(self, state: Arrays, like: Part) -> None:
        """Do nothing: the encoder holds the classifier."""

    def module(self) -> tuple[nn.Module, tuple[str, ...]]:
        """Return the encoder's own logits as they are."""
        return nn.Identity(), ("logits",)

    def choices(self) -> dict[str, Any]:
        """Return a note for the protocol card that nothing was fitted."""
        return {
            "solver": "none: the classifier that the encoder was trained with",
            "chosen": "nothing: every weight comes from the training of the encoder",
            "val_macro_auroc": float(self._score),
        }


def check_classes(own: Sequence[str], asked: Sequence[str], remedy: str) -> None:
    """Raise if the classes of the encoder's own classifier are not those of the task.

    Args:
        own: The encoder's classes.
        asked: The classes of the task.
        remedy: What to do, for the error.

    Raises:
        RunError: The classes or their order differ.
    """
    if tuple(own) != tuple(asked):
        has = f"classes {', '.join(own)}" if own else "no classifier of its own"
        raise RunError(f"the encoder has {has}", f"the classes of the task: {', '.join(asked)}", remedy)
