"""Fine-tuning: the whole pretrained encoder is trained with a head on the task's labels, by default a linear layer.

The same training as ``--scratch`` (`ecgkit.evaluation.heads.end_to_end`), from pretrained weights: AdamW at a peak
learning rate of 1e-4 that decays by 0.75 from stage to stage towards the input. The epoch is chosen on the validation
set. A copy of the encoder is trained; the given one is not changed.

The head may start from its probe, that is, from its weights fitted on the frozen features: Kumar et al., Fine-Tuning
can Distort Pretrained Features and Underperform Out-of-Distribution (LP-FT), arXiv 2202.10054. ECG-Soup trains so too.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from ecgkit.config import merge
from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.heads.base import Arrays, Part
from ecgkit.evaluation.heads.end_to_end import RECIPE, LayerHead, Supervised, train_supervised
from ecgkit.evaluation.heads.linear import LinearHead
from ecgkit.evaluation.heads.settings import LINEAR, build_head, head_config
from ecgkit.evaluation.heads.trained import TrainedHead
from ecgkit.methods import Encoder
from ecgkit.plugins import host
from ecgkit.recipe import Recipe
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.training.fitting import check_whole_batches
from ecgkit.training.processes import ALONE, Processes
from ecgkit.training.supply import Supply

# A recipe states the learning rate for a batch of 256; at a batch of 32 the peak is 1e-4.
GENTLE = replace(RECIPE, lr=8e-4)


@dataclass(frozen=True)
class FineTuneConfig:
    """Settings of fine-tuning.

    Args:
        recipe: Training recipe: optimiser, schedule and epochs.
        layer_decay: Factor on the learning rate from each stage of the encoder to the stage before it; 1 for the same
            rate everywhere.
        head: Head that is trained with the encoder: ``linear``, or one that is trained by gradient, such as ``hug``.
        inner: Settings of that head where they are not its defaults, such as ``{levels: groups}``.
        start: Where the weights of the head begin: ``random``, or ``probe`` for the head fitted on frozen features.
    """

    recipe: Recipe = GENTLE
    layer_decay: float = 0.75
    head: str = LINEAR
    inner: dict[str, Any] = field(default_factory=dict)
    start: Literal["random", "probe"] = "random"

    def __post_init__(self) -> None:
        check_whole_batches(self.recipe)
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay {self.layer_decay:g} must be above 0 and at most 1")
        if self.inner and self.head == LINEAR:
            raise ConfigError(f"inner.{next(iter(self.inner))} with a linear layer", "nothing: it has no settings")
        if "recipe" in self.inner and self.start != "probe":
            remedy = "Set recipe for the training itself, or add start=probe."
            raise ConfigError(
                "inner.recipe, which fits the head on frozen features, without start=probe", remedy=remedy
            )
        self.inner_config()

    def inner_config(self) -> Any:
        """Return the settings of the head that is trained with the encoder; None for the linear layer.

        Raises:
            ConfigError: The head has no such setting, or the value does not fit.
        """
        if self.head == LINEAR:
            return None
        usual = head_config(host().get(HeadEntry, self.head))
        if usual is None:  # such a head is refused together with an encoder
            return None
        return merge(usual, self.inner, source=f"inner, the settings of head {self.head}")


class FineTune:
    """A head that trains the encoder itself; see the module.

    Args:
        seed: Seed of the linear layer, the order of records and the crops.
        config: Settings; see `FineTuneConfig`.
    """

    def __init__(self, *, seed: int = 0, config: FineTuneConfig = FineTuneConfig()) -> None:
        self.seed = seed
        self.config = config

    def head(self, device: torch.device) -> TrainedHead:
        """Return the head that is trained with the encoder, without weights."""
        if self.config.head == LINEAR:
            return LayerHead(seed=self.seed, device=device)
        entry = host().get(HeadEntry, self.config.head)
        head: TrainedHead = build_head(entry, self.seed, self.config.inner_config(), device=device)
        return head

    def _probed(self, head: TrainedHead, train: Part, val: Part) -> Arrays:
        """Return the weights of the head, fitted on frozen features."""
        if isinstance(head, LayerHead):
            probe = LinearHead(seed=self.seed)
            probe.fit(train, val)
            return probe.layer()
        head.fit(train, val)
        return head.state()

    def train(
        self,
        encoder: Encoder,
        view: View,
        data: TaskData,
        *,
        supplies: Mapping[str, Supply],
        progress: Callable[[int, int], None] | None = None,
        processes: Processes = ALONE,
    ) -> Supervised:
        """Train a copy of the encoder on the training set, choose the epoch on the validation set, predict all records.

        Args:
            encoder: The encoder whose weights training starts from.
            view: The store under the encoder's contract.
            data: The task on the store.
            supplies: Inputs of the encoder besides the signal.
            progress: Called with epochs done and epochs in total.
            processes: The processes that share each batch; this one is one of them.
        """
        encoder, head, start = copy.deepcopy(encoder), self.head(next(encoder.parameters()).device), None
        if self.config.start == "probe":
            parts = [_part(encoder, view, data, part, head.needs, supplies) for part in ("train", "val")]
            start = processes.of_first(self._probed(head, *parts))
        return train_supervised(
            encoder,
            view,
            data,
            recipe=self.config.recipe,
            layer_decay=self.config.layer_decay,
            head=head,
            start=start,
            seed=self.seed,
            supplies=supplies,
            progress=progress,
            processes=processes,
        )


def _part(
    encoder: Encoder, view: View, data: TaskData, name: str, needs: Sequence[str], supplies: Mapping[str, Supply]
) -> Part:
    """Return the frozen features and the targets of one part of a task."""
    own, beside = data.parts[name], len(data.parts["train"]) + len(data.parts["val"]) - len(data.parts[name])
    features = extract(encoder, view, data.rows[own], needs, supplies=supplies, beside=beside)
    return Part(features, data.targets[own])


class Scratch(FineTune):
    """Training from random weights, with a higher learning rate that is the same in all layers."""

    def __init__(self, *, seed: int = 0, epochs: int | None = None) -> None:
        recipe = RECIPE if epochs is None else replace(RECIPE, epochs=epochs)
        super().__init__(seed=seed, config=FineTuneConfig(recipe, layer_decay=1.0))
