"""What a method family is: the interface between a plugin and the rest of ecgkit.

A family gives a `Method`: a module built from its config, with a `training_step` and an `encoder`. The core hands it
a `Batch` with just what the family says it needs and gets back named `Losses`; the encoder turns signals into
`Features`. Shapes: B batch, L leads, T samples, N tokens, D width.
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


# Where `Batch.extra` holds the augmented views.
VIEWS = "views"


class MethodConfig(Protocol):
    """What every family's config holds besides its own fields; a frozen dataclass.

    A config may have a field ``views`` of type `ecgkit.signal.augment.views.Views`; see `Batch.views`.
    """

    @property
    def signal(self) -> SignalSpec:
        """The model's input."""

    @property
    def recipe(self) -> Recipe:
        """How it is trained by default."""


@dataclass(frozen=True)
class Batch:
    """Records of one lead set.

    Args:
        signal: ``[B, L, T]`` as the method's `SignalSpec` says.
        lead_ids: ``[L]``, index of each lead in the standard order (I 0 ... V6 11).
        rows: ``[B]``, the records' rows in their store.
        lengths: ``[B]``, how many samples are real, zeros follow; None if all are.
        extra: What the method needs besides the signal, by the name of the supply.
    """

    signal: Tensor
    lead_ids: Tensor
    rows: Tensor
    lengths: Tensor | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def views(self) -> list["Batch"]:
        """The batch once per augmented view, with the view as its signal, for a config that asks for views.

        Raises:
            RunError: The batch holds none.
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
        """Return the batch with its tensors in pinned memory, from which a copy to a GPU need not wait."""
        return self._each(lambda value: value.pin_memory() if isinstance(value, Tensor) else value)

    def _each(self, change: Callable[[Any], Any]) -> "Batch":
        extra = {need: change(value) for need, value in self.extra.items()}
        return Batch(change(self.signal), change(self.lead_ids), change(self.rows), change(self.lengths), extra)


@dataclass(frozen=True)
class Clock:
    """Where a training stands, counted in optimiser steps and not in calls.

    All accumulated parts of one batch, and `Method.after_step` after them, see the same clock. Outside training steps
    (validation, cost counting) the clock stands at the end of the training (`Clock.end`), so that validation losses can
    be compared between epochs.

    Args:
        step: Optimiser steps completed: 0 during the first.
        steps: Optimiser steps in all.
        epoch: Epochs completed, with their fraction.
        epochs: Epochs in all.
    """

    step: int
    steps: int
    epoch: float
    epochs: int

    @classmethod
    def at(cls, step: int, steps: int, epochs: int) -> "Clock":
        """Return the clock after `step` of `steps` optimiser steps; every epoch has as many."""
        whole, index = divmod(step, steps // epochs)
        return cls(step, steps, whole + index / (steps // epochs), epochs)

    @classmethod
    def end(cls, steps: int = 0, epochs: int = 1) -> "Clock":
        """Return the clock that stands at the end of a training; one step per epoch where their number is not known."""
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
        """Epochs completed after this step. The learning rate is that of this moment: warm-up begins above 0."""
        whole, index = divmod(self.step, self.steps_per_epoch)
        return whole + (index + 1) / self.steps_per_epoch


@dataclass(frozen=True)
class Features:
    """What an encoder says of a batch.

    Args:
        pooled: ``[B, D]``, the representation of a record.
        per_lead: ``[B, L, D]``, of each lead.
        tokens: ``[B, N, D]``, of each token, after the last norm.
        layers: ``[B, depth, D]``, the pooled output of every block, before any last norm.
        layer_input: ``[B, D]``, the pooled input of the first block.
        token_leads: int ``[N]``, which of the batch's leads each token is of, where each is of one.
        token_real: bool ``[B, N]``, False for tokens that stand for nothing in the record; None if none do.
        logits: ``[B, C]``, of the classes that the encoder was trained on, `Encoder.classes`.
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
    """What a masked model makes of a batch, piece by piece: n pieces of p samples per lead, one after the other.

    Args:
        original: ``[B, L, n, p]``, what was to be rebuilt.
        visible: Bool ``[B, L, n]``, which pieces the model was shown.
        rebuilt: ``[B, L, n, p]``, what it made, of visible pieces too.
        real: Bool ``[B, L, n]``, False for pieces that hold nothing of the record; None if all do.
    """

    original: Tensor
    visible: Tensor
    rebuilt: Tensor
    real: Tensor | None = None


@dataclass(frozen=True)
class AttentionMap:
    """Where an encoder looked in a batch.

    Args:
        over_time: ``[B, N]``, weight of N stretches of the input in the summary of the record; it may be negative where
            a model subtracts one attention from another.
        spans: ``[N, 2]``, first sample and sample after the last of each stretch; stretches may overlap.
        gate: ``[B, C, L]``, weight that each class gives to the channels made from each of the encoder's L leads, where
            the encoder has such a gate; what these channels hold may have been mixed with other leads'.
    """

    over_time: Tensor
    spans: Tensor
    gate: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """What a training step gives.

    Args:
        parts: The named parts of the loss, scalars whose sum is minimised.
        stats: Named scalars to watch, such as `ecgkit.nn.contrastive.embedding_statistics`; never minimised.
    """

    parts: Mapping[str, Tensor]
    stats: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def loss(self) -> Tensor:
        """The sum of the parts."""
        return torch.stack(list(self.parts.values())).sum()

    def scalars(self) -> dict[str, Tensor]:
        """Return the sum, the parts and the statistics by name, without their gradients."""
        named = {**self.parts, **self.stats}
        return {"loss": self.loss.detach(), **{name: value.detach() for name, value in named.items()}}


class Encoder(nn.Module, ABC):
    """Signals to features; `width` is D.

    `needs` names what the encoder reads besides the signal (such as ``beats``), wherever it is used: the loader then
    puts it into every batch, and `encode` hands it to `forward` as a keyword argument. `classes` names the classes of
    an encoder with a classifier of its own. `fill` says what stands in for a lead that is not given, such as ``zeros``,
    where the encoder cannot do without; a result says so too. `padding` says what the samples behind the end of a
    record count as, such as ``zeros``, where the encoder does not leave them out.
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
            signal: ``[B, L, T]``, any number of leads in any order.
            lead_ids: ``[L]``, which leads these are.
            lengths: ``[B]``, how many samples are real; the zeros that follow should change nothing. None if all
                are.
            args: Not used; with `kwargs` it lets an encoder spell out its own needs.
            kwargs: What `needs` names, as `Batch.extra` holds it.
        """

    def encode(self, batch: "Batch") -> Features:
        """Encode a batch with all that this encoder needs of it."""
        extra = {need: batch.extra[need] for need in self.needs}
        features: Features = self(batch.signal, batch.lead_ids, batch.lengths, **extra)
        return features

    def block_tokens(self, x: Tensor, tokens: int) -> Tensor:
        """Pick, from what a block gives, the tokens that `Features.tokens` is made of, in that order.

        Args:
            x: ``[B, M, D]``, with tokens of other kinds such as summaries or separators.
            tokens: N, how many `Features.tokens` has.

        Returns:
            ``[B, N, D]``; by default the last N.
        """
        return x[:, x.shape[1] - tokens :]

    def stages(self) -> list[list[nn.Module]]:
        """Return the encoder's parts from the first block to the output, for learning rates that decay with depth.

        Parts that stand side by side are of one stage. What is in none, such as embeddings, comes before the first.

        Returns:
            By default one stage a module in ``blocks`` and a last one of ``norm``, as far as the encoder has them;
            nothing for an encoder without ``blocks``, whose parts then all count alike.
        """
        blocks, norm = getattr(self, "blocks", ()), getattr(self, "norm", None)
        return [*([block] for block in blocks), [] if norm is None else [norm]] if len(blocks) else []

    def attention_map(self, batch: "Batch") -> AttentionMap:
        """Return where the encoder looks in a batch, for encoders that can say; others leave this out.

        Raises:
            RunError: The encoder has no such weights.
        """
        raise RunError(f"{type(self).__name__} tells no attention over time", "an encoder that does")


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
    """Return the preset's name and a family's config: the preset, changed by a file, changed by single settings.

    Args:
        entry: The family.
        preset: Its preset; empty for the first.
        file: YAML of settings, or the ``config.yaml`` of a run.
        assignments: Such as ``depth=4``.

    Raises:
        ConfigError: A preset, key or value does not fit.
    """
    name, config = method_config(entry, preset)
    if file is not None:
        values = read_yaml(file)
        if values.get("method", entry.name) != entry.name:
            raise ConfigError(f"{file} holds settings of {values['method']}", f"settings of {entry.name}")
        # A run's config.yaml keeps the settings beside what describes the run.
        config = merge(config, values["config"] if "method" in values else values, source=str(file))
    return name, override(config, assignments)
