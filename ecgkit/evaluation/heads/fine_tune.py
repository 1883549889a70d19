"""Fine-tuning: the whole pretrained encoder is trained with a linear layer on the task's labels.

The same training as ``--scratch`` (`ecgkit.evaluation.heads.end_to_end`), from pretrained weights: AdamW at a peak
learning rate of 1e-4 that decays by 0.75 from stage to stage towards the input, the epoch chosen on validation. The
encoder that was handed in stays as it is; a copy is trained.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ecgkit.evaluation.heads.end_to_end import RECIPE, Supervised, train_supervised
from ecgkit.methods import Encoder
from ecgkit.recipe import Recipe
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.training.fitting import check_whole_batches
from ecgkit.training.supply import Supply

# A recipe's rate is that of a batch of 256: at 32 its peak is 1e-4.
GENTLE = replace(RECIPE, lr=8e-4)


@dataclass(frozen=True)
class FineTuneConfig:
    """Settings of fine-tuning.

    Args:
        recipe: Optimiser, schedule, epochs.
        layer_decay: What the learning rate is multiplied by from one stage of the encoder to the one before it; 1 for
            the same rate everywhere.
    """

    recipe: Recipe = GENTLE
    layer_decay: float = 0.75

    def __post_init__(self) -> None:
        check_whole_batches(self.recipe)
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay {self.layer_decay:g} must be above 0 and at most 1")


class FineTune:
    """A head that trains the encoder itself; see the module.

    Args:
        seed: Of the linear layer, order and crops.
        config: See `FineTuneConfig`.
    """

    def __init__(self, *, seed: int = 0, config: FineTuneConfig = FineTuneConfig()) -> None:
        self.seed = seed
        self.config = config

    def train(
        self,
        encoder: Encoder,
        view: View,
        data: TaskData,
        *,
        supplies: Mapping[str, Supply],
        progress: Callable[[int, int], None] | None = None,
    ) -> Supervised:
        """Train a copy of the encoder on the training part, choose on val, predict all records.

        Args:
            encoder: Where training starts.
            view: The store under its contract.
            data: The task on the store.
            supplies: What the encoder needs besides the signal.
            progress: Called with epochs done and in all.
        """
        return train_supervised(
            copy.deepcopy(encoder),
            view,
            data,
            recipe=self.config.recipe,
            layer_decay=self.config.layer_decay,
            seed=self.seed,
            supplies=supplies,
            progress=progress,
        )


class Scratch(FineTune):
    """The same from random weights: a higher rate, alike in all layers."""

    def __init__(self, *, seed: int = 0, epochs: int | None = None) -> None:
        recipe = RECIPE if epochs is None else replace(RECIPE, epochs=epochs)
        super().__init__(seed=seed, config=FineTuneConfig(recipe, layer_decay=1.0))
