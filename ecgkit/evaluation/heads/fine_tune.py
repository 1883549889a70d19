"""Fine-tuning: the whole pretrained encoder is trained with a linear layer on the task's labels.

The same training as ``--scratch`` (`ecgkit.evaluation.heads.end_to_end`), from pretrained weights: AdamW at a peak
learning rate of 1e-4 that decays by 0.75 from stage to stage towards the input. The epoch is chosen on the validation
set. A copy of the encoder is trained; the given one is not changed.
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
        seed: Seed of the linear layer, the order of records and the crops.
        config: Settings; see `FineTuneConfig`.
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
        return train_supervised(
            copy.deepcopy(encoder),
            view,
            data,
            recipe=self.config.recipe,
            layer_decay=self.config.layer_decay,
            seed=self.seed,
            supplies=supplies,
            progress=progress,
            processes=processes,
        )


class Scratch(FineTune):
    """Training from random weights, with a higher learning rate that is the same in all layers."""

    def __init__(self, *, seed: int = 0, epochs: int | None = None) -> None:
        recipe = RECIPE if epochs is None else replace(RECIPE, epochs=epochs)
        super().__init__(seed=seed, config=FineTuneConfig(recipe, layer_decay=1.0))
