"""The interface of pretraining methods: what a method must implement, and what it may ask of the engine."""

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
from ecgkit.methods.features import Features, Losses, Reconstruction
from ecgkit.methods.layout import TokenLayout
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.store.reader import Store


@dataclass(frozen=True)
class Corpus:
    """The records of a training, for work that a method does before the first step.

    Args:
        store: The store.
        train: ``[N]``, rows of the training records.
        labels: Class names of the task that labels come from; empty without a task.
    """

    store: Store
    train: NDArray[np.int64]
    labels: tuple[str, ...] = ()


class Sampler(Protocol):
    """Decides which records stay together: no batch, accumulated part or process splits a group.

    It is called once per epoch for the records of each lead set. Its random numbers depend only on the seed and the
    epoch. One implementation is `ecgkit.training.sampling.PatientPairs`.
    """

    @property
    def group(self) -> int:
        """Records per group, such as 2 for pairs."""

    def __call__(self, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the groups of an epoch, in the order in which they fill batches.

        Args:
            rows: Rows of the store, all with the same leads.
            rng: The only source of random numbers.

        Returns:
            ``[n, group]``, with values out of `rows`. n must be the same in every epoch.
        """


class Method(nn.Module, ABC):
    """A pretraining method: an encoder and the other modules that its training needs.

    The class is called with the family's config only: ``Method(config)``.
    """

    encoder: Encoder  # a submodule of the method

    @classmethod
    def complete(cls, config: Any, corpus: Corpus) -> Any:
        """Return the config completed with what only the data shows, such as class names; by default unchanged.

        It is called once before training. The run folder stores the completed config.
        """
        return config

    @classmethod
    def further_needs(cls, config: Any) -> tuple[str, ...]:
        """Return supplies that training with this config needs besides those of the family's entry; by default none."""
        return ()

    @classmethod
    def fewest_records(cls, config: Any) -> int:
        """Return the smallest number of records that a training step can use: one by default.

        A loss that compares the records of a batch needs at least two, and so does BatchNorm: such methods return 2 or
        more. The engine then makes no smaller batch or accumulated part, and refuses a recipe that asks for one.
        """
        return 1

    @classmethod
    def sampler(cls, config: Any, corpus: Corpus) -> Sampler | None:
        """Return a sampler that keeps some records together; by default None, and records are drawn independently."""
        return None

    @classmethod
    def built_on(cls, config: Any) -> tuple[Path, ...]:
        """Return the run folders whose weights this config builds on, such as a tokenizer's run; by default none.

        The run then records the hashes of those weights, and counts their training records as its own. Load the weights
        in `prepare`, into parameters or buffers of this method: a finished run must not need the folders that it builds
        on.
        """
        return ()

    def prepare(self, corpus: Corpus) -> None:
        """Compute what is needed once before the first step, such as embeddings of texts, and keep it in buffers.

        It must be deterministic, since every process of a distributed run calls it.
        """

    @abstractmethod
    def training_step(self, batch: Batch, clock: Clock) -> Losses:
        """Return the losses of a batch. Random choices must use torch's generator.

        It is called once for each accumulated part of a batch, and in validation, so it must not change any state of
        the method. State that changes once per optimiser step belongs in `after_step`.

        Args:
            batch: Records of one lead set.
            clock: Progress of the training; see `Clock`.
        """

    def after_step(self, clock: Clock) -> None:
        """Update state after an optimiser step, such as the weights of an EMA teacher or a queue; by default nothing.

        It is called without gradients, in every process, once after each optimiser step, and only in training. It may
        change parameters (with ``requires_grad`` False) and persistent buffers, in place, so that a checkpoint holds
        them and a stopped training continues exactly. All processes must arrive at the same values: compute them from
        parameters, which are equal in all processes, or reduce over processes what comes from records.

        Args:
            clock: The clock of the step's `training_step`.
        """

    def optimizer(self, recipe: Recipe, parameters: Mapping[str, nn.Parameter]) -> Optimizer | Sequence[Optimizer]:
        """Return the optimiser of the trained parameters, or several; by default the one that the recipe names.

        Every trained parameter must be in exactly one optimiser. The engine sets the learning rate and the weight decay
        of every parameter group before each step; `ecgkit.optimizers` lists the settings that a group may have.

        Args:
            recipe: The training recipe.
            parameters: The trained parameters by name.
        """
        return build_optimizer(recipe, parameters)

    def reconstruct(self, batch: Batch) -> Reconstruction:
        """Mask part of a batch as in training and reconstruct it. Only methods that mask signals implement this.

        Raises:
            RunError: The method reconstructs no signal.
        """
        raise RunError(f"method {type(self).__name__} reconstructs no signal", remedy="Use a masked method.")

    def class_layout(self, batch: Batch, features: Features, classes: Tensor) -> TokenLayout:
        """Return the layout of all tokens among which a method looks that scores classes by their names (`ZeroShot`).

        Args:
            batch: One record.
            features: Features whose ``pooled`` are the scores.
            classes: ``[C, ...]``, the class vectors.

        Returns:
            By default the layout of the encoder, which looks at a record without knowing the classes.
        """
        return self.encoder.token_layout(batch, features)


@runtime_checkable
class ZeroShot(Protocol):
    """A method that scores classes from their names alone, such as ``atrial fibrillation``."""

    encoder: Encoder

    def class_vectors(self, texts: Sequence[str]) -> Tensor:
        """Return vectors ``[C, ...]`` for class names or prompts. They are computed once per evaluation."""

    def class_scores(self, batch: Batch, classes: Tensor, *, independent: bool = False) -> Tensor:
        """Return scores ``[B, C]`` in [0, 1]; a higher score means that the class is more likely.

        Args:
            batch: Records.
            classes: The class vectors that `class_vectors` returned.
            independent: Score each class without seeing the others, so that its score does not depend on them.
        """

    def trained_names(self) -> Sequence[str]:
        """Return the names that training asked for one by one. All other classes are unseen."""
