"""The interface of method families: what a plugin implements, and what the rest of ecgkit calls.

A family provides a `Method`: a module built from its config, with a `training_step` and an `encoder`. The core passes
it a `Batch` with the signal and the supplies that the family needs, and gets back named `Losses`. The encoder turns
signals into `Features`. Shapes: B batch, L leads, T samples, N tokens, D width.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from ecgkit.config import merge, override, read_yaml
from ecgkit.entries import MethodEntry, load_target
from ecgkit.errors import ConfigError, RunError
from ecgkit.optimizers import build_optimizer
from ecgkit.recipe import Recipe
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store

__all__ = [
    "AttentionMap",
    "Batch",
    "Clock",
    "Corpus",
    "Encoder",
    "Features",
    "Losses",
    "Method",
    "MethodConfig",
    "MethodEntry",
    "Reconstruction",
    "Sampler",
    "ZeroShot",
]


# Key of the augmented views in `Batch.extra`.
VIEWS = "views"


class MethodConfig(Protocol):
    """The fields that every family's config has besides its own; a frozen dataclass.

    A config may have a field ``views`` of type `ecgkit.signal.augment.views.Views`; see `Batch.views`.
    """

    @property
    def signal(self) -> SignalSpec:
        """The signal contract: the model's input."""

    @property
    def recipe(self) -> Recipe:
        """The default training recipe."""


@dataclass(frozen=True)
class Batch:
    """Records that have the same leads.

    Args:
        signal: ``[B, L, T]``, prepared as the method's `SignalSpec` says.
        lead_ids: ``[L]``, index of each lead in the standard order (I 0 ... V6 11).
        rows: ``[B]``, the records' rows in their store.
        lengths: ``[B]``, number of real samples of each record, which zeros follow; None if all samples are real.
        extra: The supplies that the method needs besides the signal, by name.
    """

    signal: Tensor
    lead_ids: Tensor
    rows: Tensor
    lengths: Tensor | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def views(self) -> list["Batch"]:
        """The batch once per augmented view, with the view as its signal. The config must ask for views.

        Raises:
            RunError: The batch holds no views.
        """
        if VIEWS not in self.extra:
            raise RunError("a batch without views", remedy="Give the method's config a field `views: Views = Views()`.")
        extra = {need: value for need, value in self.extra.items() if need != VIEWS}
        return [replace(self, signal=view, extra=extra) for view in self.extra[VIEWS].unbind(1)]

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on `device`."""

        def move(value: Any) -> Any:
            return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

        return self._each(move)

    def pin_memory(self) -> "Batch":
        """Return the batch with its tensors in pinned memory, so that copies to a GPU need not wait."""
        return self._each(lambda value: value.pin_memory() if isinstance(value, Tensor) else value)

    def _each(self, change: Callable[[Any], Any]) -> "Batch":
        extra = {need: change(value) for need, value in self.extra.items()}
        return Batch(change(self.signal), change(self.lead_ids), change(self.rows), change(self.lengths), extra)


@dataclass(frozen=True)
class Clock:
    """The progress of a training, counted in optimiser steps.

    All accumulated parts of one batch, and `Method.after_step` after them, get the same clock. Outside training steps
    (validation, cost counting) the clock stands at the end of the training (`Clock.end`), so that validation losses can
    be compared between epochs.

    Args:
        step: Optimiser steps completed: 0 during the first step.
        steps: Optimiser steps in total.
        epoch: Epochs completed, as a fraction.
        epochs: Epochs in total.
    """

    step: int
    steps: int
    epoch: float
    epochs: int

    @classmethod
    def at(cls, step: int, steps: int, epochs: int) -> "Clock":
        """Return the clock after `step` of `steps` optimiser steps. Every epoch has the same number of steps."""
        whole, index = divmod(step, steps // epochs)
        return cls(step, steps, whole + index / (steps // epochs), epochs)

    @classmethod
    def end(cls, steps: int = 0, epochs: int = 1) -> "Clock":
        """Return the clock at the end of a training; with one step per epoch if the number of steps is not known."""
        return cls(steps or epochs, steps or epochs, float(epochs), epochs)

    @property
    def progress(self) -> float:
        """Share of the optimiser steps completed, in [0, 1]: the argument of every schedule (`ecgkit.schedules`)."""
        return self.step / self.steps

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps per epoch."""
        return self.steps // self.epochs

    @property
    def next_epoch(self) -> float:
        """Epochs completed after this step. The learning rate is taken here, so that warm-up begins above 0."""
        whole, index = divmod(self.step, self.steps_per_epoch)
        return whole + (index + 1) / self.steps_per_epoch


@dataclass(frozen=True)
class Features:
    """The output of an encoder for a batch.

    Args:
        pooled: Representation of each record, ``[B, D]``.
        per_lead: Representation of each lead, ``[B, L, D]``.
        tokens: Representation of each token, ``[B, N, D]``, after the last norm.
        layers: Pooled output of every block, ``[B, depth, D]``, before any last norm.
        layer_input: Pooled input of the first block, ``[B, D]``.
        token_leads: int ``[N]``, index of each token's lead among the batch's leads, if each token belongs to one lead.
        token_real: bool ``[B, N]``, False for padding tokens; None if no token is padding.
        logits: Logits of the classes that the encoder was trained on (`Encoder.classes`), ``[B, C]``.
    """

    pooled: Tensor
    per_lead: Tensor | None = None
    tokens: Tensor | None = None
    layers: Tensor | None = None
    layer_input: Tensor | None = None
    token_leads: Tensor | None = None
    token_real: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True)
class Reconstruction:
    """A masked model's reconstruction of a batch, in n consecutive pieces of p samples per lead.

    Args:
        original: ``[B, L, n, p]``, the target of the reconstruction.
        visible: bool ``[B, L, n]``, True for pieces that the model was shown.
        rebuilt: ``[B, L, n, p]``, the reconstruction, of visible pieces too.
        real: bool ``[B, L, n]``, False for pieces that are padding; None if no piece is padding.
    """

    original: Tensor
    visible: Tensor
    rebuilt: Tensor
    real: Tensor | None = None


@dataclass(frozen=True)
class AttentionMap:
    """The attention of an encoder over a batch.

    Args:
        over_time: ``[B, N]``, weight of N stretches of the input in the representation of the record. It may be
            negative if a model subtracts one attention from another.
        spans: ``[N, 2]``, first sample of each stretch and sample after its last; stretches may overlap.
        gate: ``[B, C, L]``, weight that each class gives to the channels made from each of the encoder's L leads; None
            if the encoder has no such gate. These channels may already mix in information from other leads.
    """

    over_time: Tensor
    spans: Tensor
    gate: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """The result of a training step.

    Args:
        parts: The named parts of the loss, scalars whose sum is minimised.
        stats: Named scalars to watch, such as `ecgkit.nn.contrastive.embedding_statistics`; they are not minimised.
    """

    parts: Mapping[str, Tensor]
    stats: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of the parts."""
        return torch.stack(list(self.parts.values())).sum()

    def scalars(self) -> dict[str, Tensor]:
        """Return the sum, the parts and the statistics by name, detached from the graph."""
        named = {**self.parts, **self.stats}
        return {"loss": self.loss.detach(), **{name: value.detach() for name, value in named.items()}}


class Encoder(nn.Module, ABC):
    """An encoder of signals into features; `width` is D.

    `needs` names the supplies that the encoder reads besides the signal, such as ``beats``. Wherever the encoder is
    used, the loader puts them into every batch, and `encode` passes them to `forward` as keyword arguments. `classes`
    names the classes of an encoder that has its own classifier. `fill` says what replaces a lead that is not given,
    such as ``zeros``, if the encoder needs all leads; result rows state it. `padding` says how samples after the end of
    a record are treated, such as ``zeros``, if the encoder does not leave them out.
    """

    width: int
    needs: ClassVar[tuple[str, ...]] = ()
    classes: tuple[str, ...] = ()
    fill: ClassVar[str] = ""
    padding: ClassVar[str] = ""

    @abstractmethod
    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Encode records.

        Args:
            signal: ``[B, L, T]``, with any number of leads in any order.
            lead_ids: ``[L]``, index of each lead in the standard order.
            lengths: ``[B]``, number of real samples of each record. The zeros after them should change nothing. None if
                all samples are real.
            args: Not used; with `kwargs` it lets an encoder name its own needs as parameters.
            kwargs: The supplies that `needs` names, as `Batch.extra` holds them.
        """

    def encode(self, batch: "Batch") -> Features:
        """Encode a batch, with all supplies that this encoder needs."""
        extra = {need: batch.extra[need] for need in self.needs}
        features: Features = self(batch.signal, batch.lead_ids, batch.lengths, **extra)
        return features

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """Pick, from the output of a block, the tokens that `Features.tokens` consists of, in that order.

        Args:
            x: ``[B, M, D]``, including tokens of other kinds such as summaries or separators.
            tokens: N, the number of tokens in `Features.tokens`.

        Returns:
            ``[B, N, D]``; by default the last N.
        """
        return x[:, x.shape[1] - tokens :]

    def stages(self) -> list[list[nn.Module]]:
        """Return the encoder's parts from the first block to the output, for learning rates that decay with depth.

        Parts that run side by side belong to one stage. Parts in no stage, such as embeddings, count as before the
        first.

        Returns:
            By default one stage per module in ``blocks`` and a last stage with ``norm``, as far as the encoder has
            them. An encoder without ``blocks`` has no stages, and all its parts get the same learning rate.
        """
        blocks, norm = getattr(self, "blocks", ()), getattr(self, "norm", None)
        return [*([block] for block in blocks), [] if norm is None else [norm]] if len(blocks) else []

    def attention_map(self, batch: "Batch") -> AttentionMap:
        """Return the encoder's attention over a batch. Only encoders that have such weights implement this.

        Raises:
            RunError: The encoder has no such weights.
        """
        raise RunError(f"encoder {type(self).__name__} has no attention over time to show")


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


def method_config(entry: MethodEntry, preset: str = "") -> tuple[str, Any]:
    """Return the name and the config of a family's preset; the first preset is the default.

    Raises:
        ConfigError: The family has no such preset.
    """
    presets = load_target(entry.presets, f"the presets of {entry.name}")
    name = preset or next(iter(presets))
    if name not in presets:
        raise ConfigError(f"{entry.name} has no preset {preset!r}", f"one of {', '.join(presets)}")
    return name, presets[name]


def chosen_config(
    entry: MethodEntry, preset: str = "", file: Path | None = None, assignments: Sequence[str] = ()
) -> tuple[str, Any]:
    """Return the preset's name and the config: the preset, changed by a file, then by single settings.

    Args:
        entry: The method family.
        preset: Name of the preset; empty for the first.
        file: YAML file of settings, or the ``config.yaml`` of a run.
        assignments: Settings such as ``depth=4``.

    Raises:
        ConfigError: A preset, key or value is not valid.
    """
    name, config = method_config(entry, preset)
    if file is not None:
        values = read_yaml(file)
        if values.get("method", entry.name) != entry.name:
            raise ConfigError(f"{file} holds settings of {values['method']}, not of {entry.name}")
        # A run's config.yaml holds the settings together with facts about the run.
        config = merge(config, values["config"] if "method" in values else values, source=str(file))
    return name, override(config, assignments)
