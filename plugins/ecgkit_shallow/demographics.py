"""The baseline that knows age and sex alone: what a model must exceed to have read anything from the signal."""

from typing import ClassVar

import torch
from torch import Tensor

from ecgkit.methods import EncoderOnly, Features
from ecgkit_shallow.config import PlainConfig
from ecgkit_shallow.plain import UNKNOWN, PlainEncoder


class AgeSexEncoder(PlainEncoder):
    """Age in years, and 1 for female and 0 for male; `UNKNOWN` for what is not known."""

    width = 2
    needs: ClassVar[tuple[str, ...]] = ("demographics",)
    fill, padding = "nothing", "nothing"

    def forward(
        self, signal: Tensor, lead_ids: Tensor, lengths: Tensor | None = None, *, demographics: Tensor
    ) -> Features:
        """Return ``[B, 2]`` of the supply ``demographics``; the signal is not looked at."""
        return Features(torch.nan_to_num(demographics.float(), nan=UNKNOWN))


class AgeSex(EncoderOnly):
    """The encoder as a method."""

    def __init__(self, config: PlainConfig) -> None:
        super().__init__(config, AgeSexEncoder())
