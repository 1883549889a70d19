"""A pretraining method: what it must have, and what it may ask of the engine."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from ecgkit.errors import RunError
from ecgkit.methods.batch import Batch, Clock
from ecgkit.methods.encoder import Encoder
from ecgkit.methods.features import Losses, Reconstruction
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class Corpus:
    """The records that a training is about to use, for what a method takes from them before the first step.

    Args:
        store: The store.
        train: ``[N]``, its rows that are trained on.
        labels: Class names of the task that labels come from; empty without one.
    """

    store: Store
    train: NDArray[np.int64]
    labels: tuple[str, ...] = ()


class Sampler(Protocol):
    """Says which records stay together in a batch: no batch, accumulated part or process tears a group apart.

    It is called once per epoch for the records of each lead set, with random numbers that depend on the seed and the
    epoch alone. `ecgkit.training.sampling.PatientPairs` is one.
    """

    @property
    def group(self) -> int:
        """Records per group, such as 2 for pairs."""

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the groups of an epoch, in the order in which they fill batches.

        Args:
            rows: Rows of the store, of one lead set.
            rng: Its only source of random numbers.

        Returns:
            ``[n, group]``, rows out of `rows`. n must be the same in every epoch.
        """


class Method(nn.Module, ABC):
    """A pretraining method: an encoder with whatever else its training needs.

    The class is called with the family's config alone: ``Method(config)``.
    """

    encoder: Encoder  # a module of the family

    @classmethod
    def complete(cls, config: Any, corpus: Corpus) -> Any:
        """Return the config with what only the data can say filled in, such as class names; by default as it is.

        It is called once before training; the completed config is what the run folder holds.
        """
        return config

    @classmethod
    def further_needs(cls, config: Any) -> tuple[str, ...]:
        """Return what training under this config needs beyond what the family's entry lists; by default nothing."""
        return ()

    @classmethod
    def fewest_records(cls, config: Any) -> int:
        """Return how many records a training step must be given at least: one by default.

        A loss that compares the records of a batch has nothing to compare in one record, and BatchNorm no statistics:
        such methods return 2 or more. The engine then makes no smaller batch or part, and refuses a recipe that asks
        for one.
        """
        return 1

    @classmethod
    def sampler(cls, config: Any, corpus: Corpus) -> Sampler | None:
        """Return what says which records stay together in a batch; by default nothing, and records are drawn freely."""
        return None

    @classmethod
    def built_on(cls, config: Any) -> tuple[Path, ...]:
        """Return the run folders whose weights this config builds on, such as a tokenizer's; by default none.

        The run then records their weights' hashes, and counts the records that they were trained on as its own. Load
        the weights in `prepare`, into parameters or buffers of this method: a finished run must not need its parents.
        """
        return ()

    def prepare(self, corpus: Corpus) -> None:
        """Take what is computed once before the first step, such as embeddings of texts, into buffers.

        It must be deterministic: every process of a distributed run calls it.
        """

    @abstractmethod
    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Return the losses of a batch; random choices come from torch's generator.

        It is called once for each accumulated part of a batch, and in validation: it must change no state of the
        method. What changes once per optimiser step belongs in `after_step`.

        Args:
            batch: Records of one lead set.
            clock: Where the training stands; see `Clock`.
        """

    def after_step(self, clock: Clock) -> None:
        """Change state after an optimiser step, such as the weights of an EMA teacher or a queue; by default nothing.

        It is called without gradients, in every process, once after each optimiser step, in training only. What it
        changes must be a parameter (with ``requires_grad`` False) or a persistent buffer, changed in place: then a
        checkpoint holds it and a stopped training goes on exactly. All processes must come to the same values: compute
        them from parameters, which are equal, or reduce over processes what comes from records.

        Args:
            clock: The same as that of the step's `training_step`.
        """

    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> Optimizer | Sequence[Optimizer]:
        """Return the optimiser of the trained parameters, or several; by default the one that the recipe names.

        Every trained parameter must be in exactly one of them. The engine sets the learning rate and the weight decay
        of every group before each step; `ecgkit.optimizers` says what a group may ask for.

        Args:
            recipe: How the method is trained.
            parameters: The trained parameters by name.
        """
        return build_optimizer(recipe, parameters)

    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Hide part of a batch as in training and rebuild it, for methods that do; others leave this out.

        Raises:
            RunError: The method rebuilds nothing.
        """
        raise RunError(f"{type(self).__name__} rebuilds no signal", "a method that hides parts of it, a masked one")


@runtime_checkable
class ZeroShot(Protocol):
    """A method that scores classes by their names alone, such as ``atrial fibrillation``."""

    encoder: Encoder

    def class_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return vectors ``[C, ...]`` that stand for class names or prompts; computed once an evaluation."""

    def class_scores(self, batch: Batch, classes: Tensor, *, independent: bool = False) -> Tensor:
        """Return ``[B, C]`` in [0, 1], higher where a class is more likely.

        Args:
            batch: Records.
            classes: What `class_vectors` gave.
            independent: Let no class see the others, so that its score does not depend on what else is asked.
        """

    def trained_names(self) -> Sequence[str]:
        """Return the names that training asked for one by one; other classes are unseen."""
