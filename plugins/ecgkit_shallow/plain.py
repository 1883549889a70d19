"""The base of encoders that compute fixed numbers and have no weights."""

import torch
from torch import nn

from ecgkit.methods import Encoder

UNKNOWN = -1.0  # stands for a number that is not known; trees put it on a side of its own


class PlainEncoder(Encoder):
    """An encoder without weights. It has one frozen number, which says on which device it is."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1), requires_grad=False)
