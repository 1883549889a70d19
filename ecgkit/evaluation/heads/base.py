"""What a head is: it is fitted on the features of the training part, chooses on validation, and predicts."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.methods import Encoder, Method
from ecgkit.tasks.task import Task

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Part:
    """Features and targets of one part of a task.

    Args:
        features: What the head needs of the records.
        targets: ``[R, C]`` of 0 and 1; of a regression, numbers.
    """

    features: RecordFeatures
    targets: NDArray[Any]


class Head(ABC):
    """A classifier on frozen features, or a regressor.

    A head with settings names their dataclass twice: in its entry, and as `settings` in its class.

    Args:
        seed: Seed of whatever is random in it.
        device: What it computes on. A head never chooses a device itself: the result row records this one.
        config: Its settings; None for the defaults of `settings`.
    """

    settings: ClassVar[type[Any] | None] = None

    def __init__(self, *, seed: int = 0, device: torch.device = CPU, config: Any = None) -> None:
        self.seed, self.device = seed, device
        self.config: Any = self.settings() if config is None and self.settings is not None else config
        self.watch: Callable[[int, int], None] = lambda done, total: None
        # By label, the name under which the model was trained on a class; empty for an unseen class. Zero-shot only.
        self.seen: dict[str, str] = {}

    def progress(self, watch: Callable[[int, int], None]) -> None:
        """Let `watch` be called with steps done and in all while fitting, by heads that go by steps."""
        self.watch = watch

    def reader(self, method: Method, task: Task, owner: str) -> Encoder:
        """Return what turns records into this head's features, for heads that need the whole ``method``.

        Args:
            method: With its weights.
            task: What is asked for.
            owner: Name of the method, for the error.

        Raises:
            RunError: This head reads features of an encoder, or the method cannot do what it asks.
        """
        raise RunError(f"{type(self).__name__} makes nothing of a method", "a head that does, such as zero-shot")

    @abstractmethod
    def fit(self, train: Part, val: Part) -> None:
        """Fit on `train`, choosing settings on `val`; the test part is never seen."""

    @abstractmethod
    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``; of a regressor, numbers."""

    @abstractmethod
    def choices(self) -> dict[str, Any]:
        """Return what was tried and chosen, for the protocol card."""
