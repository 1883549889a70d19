"""The baseline that knows nothing of a record; with head ``prevalence`` it predicts the share of each class."""

from typing import Any

from torch import Tensor

from ecgkit.methods import EncoderOnly, Features
from ecgkit_shallow.config import PlainConfig
from ecgkit_shallow.plain import PlainEncoder


class NothingEncoder(PlainEncoder):
    """One number, 0, for every record."""

    width = 1
    fill, padding = "nothing", "nothing"

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> Features:
        """Return zeros, ``[B, 1]``."""
        return Features(self.place.new_zeros(signal.shape[0], 1))


class Nothing(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config, NothingEncoder())
