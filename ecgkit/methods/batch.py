"""What a training step is given: a batch of records, and where the training stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ecgkit.errors import RunError

# Where `Batch.extra` holds the augmented views.
VIEWS = "views"


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
