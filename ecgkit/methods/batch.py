"""The arguments of a training step: a batch of records, and the progress of the training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ecgkit.errors import RunError

# Key of the augmented views in `Batch.extra`.
VIEWS = "views"


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
