"""A pair of stores read as one, in memory: one is learned from, the other tested on; rows of the first come first.

Nothing is copied: signals are read from each store's own view.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.config import fingerprint
from ecgkit.store.reader import Store
from ecgkit.store.views import View


class StorePair(Store):
    """The record tables of two stores, one after the other; what a store says of itself is said of the other.

    Args:
        first: Where something is learned.
        other: Where it is tested, so its dataset and its hash are those that a result is about.
    """

    def __init__(self, first: Store, other: Store) -> None:
        self.first, self.other = first, other
        self.path, self.attributes = other.path, other.attributes
        self.leads = tuple(dict.fromkeys((*first.leads, *other.leads)))
        shared = [column for column in first.table if column in other.table]
        self.__dict__["table"] = pd.concat([first.table[shared], other.table[shared]], ignore_index=True)
        self.__dict__["patients"] = np.concatenate([first.patients, other.patients])

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first.name} to {self.other.name}"

    @property
    def content_hash(self) -> str:
        """Hash over both, so that what is computed from both is kept apart from what is of one."""
        return fingerprint(self.first.content_hash, self.other.content_hash)

    @property
    def hashes(self) -> dict[str, str]:
        """The hash of the store that is tested, and of the one that is learned from."""
        return {"store": self.other.content_hash, "training store": self.first.content_hash}


class _Signals:
    """The signals of two views by row, without a copy."""

    def __init__(self, first: Any, other: Any) -> None:
        self.first, self.other = first, other
        self.shape = (len(first) + len(other), *first.shape[1:])

    def __getitem__(self, row: int) -> NDArray[np.float32]:
        begins = len(self.first)
        signal: NDArray[np.float32] = self.first[row] if row < begins else self.other[row - begins]
        return signal

    def __len__(self) -> int:
        return self.shape[0]


def pair_views(first: View, other: View) -> View:
    """Return two stores' views under one contract as the view of the pair."""
    signal: Any = _Signals(first.signal, other.signal)
    present, lengths = ((a, b) for a, b in ((first.present, other.present), (first.lengths, other.lengths)))
    return View(first.spec, signal, np.concatenate(present), np.concatenate(lengths))
