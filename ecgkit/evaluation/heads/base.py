"""The base class of heads. A head is fitted on training features, chooses settings on validation, and predicts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.methods import Encoder, Method
from ecgkit.tasks.task import Task

CPU = torch.device("cpu")
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """Features and targets of one part of a task.

    Args:
        features: The features of the records that the head needs.
        targets: ``[R, C]``, 0 and 1; numbers for a regression.
    """

    features: RecordFeatures
    targets: NDArray[Any]


class Head(ABC):
    """A classifier or a regressor on frozen features.

    A head with settings names their dataclass in its entry and as the class attribute `settings`.

    Args:
        seed: Seed of all randomness in the head.
        device: Device to compute on. A head never chooses a device itself, because the result row records this one.
        config: Settings of the head; None for the defaults of `settings`.
    """

    settings: ClassVar[type[Any] | None] = None
    no_export: ClassVar[str] = "it is no torch module"  # why there is no ONNX model of it, for errors

    def __init__(self, *, seed: int = 0, device: torch.device = CPU, config: Any = None) -> None:
        self.seed, self.device = seed, device
        self.config: Any = self.settings() if config is None and self.settings is not None else config
        self.watch: Callable[[int, int], None] = lambda done, total: None
        # For each label, the name with which the model was trained on the class; empty if unseen. Zero-shot only.
        self.seen: dict[str, str] = {}

    def progress(self, watch: Callable[[int, int], None]) -> None:
        """Register `watch`, which heads that fit in steps call with steps done and steps in total."""
        self.watch = watch

    def reader(self, method: Method, task: Task | None, owner: str) -> Encoder:
        """Return the encoder that gives this head's features, for heads that need the whole ``method``.

        Args:
            method: The method with its weights.
            task: The task that is probed; None for a head that was restored.
            owner: Name of the method for error messages.

        Raises:
            RunError: This head reads features of an encoder, or the method lacks what the head needs.
        """
        raise RunError(f"{type(self).__name__} makes nothing of a method", "a head that does, such as zero-shot")

    @abstractmethod
    def fit(self, train: Part, val: Part) -> None:
        """Fit on `train` and choose settings on `val`. The test set is never seen."""

    @abstractmethod
    def predict(self, features: RecordFeatures) -> NDArray[np.float64]:
        """Return probabilities ``[R, C]``; a regressor returns numbers."""

    def module(self) -> tuple[nn.Module, tuple[str, ...]] | None:
        """Return the fitted head as a torch module, and the names of its inputs, in order.

        It returns what `predict` returns before the sigmoid, ``[B, C]``; of a regressor, numbers. Inputs are fields of
        features, such as ``token_real`` ``[B, N]``, and ``present`` ``[B, L]``.

        Returns:
            None if the head is no such module, such as one that looks up neighbours; `no_export` says why.
        """
        return None

    def logits(self, features: RecordFeatures) -> Tensor | None:
        """Return what `module` gives for features, with its gradient, ``[R, C]``; None if there is no module.

        Args:
            features: Features whose fields are tensors or arrays.
        """
        found = self.module()
        if found is None:
            return None
        module, reads = found
        weight = next(chain(module.parameters(), module.buffers()), None)
        inputs = inputs_of(features, reads)
        logits: Tensor = module(*(inputs if weight is None else (value.to(weight.device) for value in inputs)))
        return logits

    def state(self) -> Arrays | None:
        """Return all that `predict` reads, as arrays by name; None if this fitted head cannot be kept."""
        return None

    def restore(self, state: Arrays, like: Part) -> None:
        """Become the fitted head that a state describes. Its predictions are then the same numbers.

        Args:
            state: The arrays that `state` returned. They are others in a damaged file only.
            like: A part without records, whose features and targets have the shapes of the training part.

        Raises:
            KeyError: An array is missing.
            RuntimeError, ValueError: An array has another shape, or holds what no fitted head does.
        """
        raise RunError(f"{type(self).__name__} cannot be restored", "a head whose `state` returns arrays")

    @abstractmethod
    def choices(self) -> dict[str, Any]:
        """Return the settings that were tried and chosen, for the protocol card."""


def inputs_of(features: RecordFeatures, reads: Sequence[str]) -> tuple[Tensor, ...]:
    """Return the inputs of a head's module, each ``[R, ...]``: fields of features, and ``present`` ``[R, L]``."""
    return tuple(torch.as_tensor(features.present if name == "present" else features[name]) for name in reads)
