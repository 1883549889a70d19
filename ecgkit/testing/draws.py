"""Random numbers that do not depend on how a batch is cut into pieces.

A training step draws random numbers for each record of its batch. Two processes with half a batch each would draw
other numbers than one process with the whole batch. Under `Draws`, every draw over the records of a piece is made for
the whole batch from one seed, and the piece takes its own rows. So two processes compute exactly the same as one, and
can be compared with it.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """See the module. A draw counts as one over records if its first axis is a multiple of `own`; use a prime `own`.

    Args:
        own: Number of records of this piece.
        all: Number of records of the whole batch, a multiple of `own`.
        first: Index of this piece's first record in the batch.
    """

    def __init__(self, own: int, all: int, first: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.own, self.all, self.first = own, all, first

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation; if it draws random numbers, draw for the whole batch."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags or not any(map(self._over_records, args)):
            return func(*args, **kwargs)
        wide = [self._widen(a) if self._over_records(a) else a for a in args]
        named = {name: self._widen(a) if self._over_records(a) else a for name, a in kwargs.items()}
        result = func(*wide, **named)
        if func._schema.is_mutable:  # such as bernoulli_
            args[0].copy_(self._narrow(wide[0]))
            return args[0]
        if isinstance(result, tuple):
            return tuple(self._narrow(part) for part in result)
        return self._narrow(result)

    def _rows(self, value: Any) -> int:
        if isinstance(value, Tensor) and value.ndim:
            return len(value)
        is_size = isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], int)
        return int(value[0]) if is_size else 0

    def _over_records(self, value: Any) -> bool:
        rows = self._rows(value)
        return rows > 0 and rows % self.own == 0

    def _widen(self, value: Any) -> Any:
        each = self._rows(value) // self.own
        if not isinstance(value, Tensor):
            return [self.all * each, *value[1:]]
        wide = value.new_zeros(self.all * each, *value.shape[1:])
        wide[self.first * each : (self.first + self.own) * each] = value
        return wide

    def _narrow(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.ndim:
            return value
        each = len(value) // self.all
        return value[self.first * each : (self.first + self.own) * each].clone()
