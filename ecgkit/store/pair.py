"""Two stores read as one, in memory: a head is fitted on the first, whose rows come first, and tested on the other.

Nothing is copied: signals are read from each store's own view.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.config import fingerprint
from ecgkit.parquet import WideTable
from ecgkit.store.reader import Store
from ecgkit.store.views import View


class StorePair(Store):
    """The record tables of two stores, one after the other. Attributes are those of the second store.

    Args:
        first: Store that is learned from.
        other: Store that is tested on. Its dataset and hash are those that a result names.
    """

    def __init__(self, first: Store, other: Store) -> None:
        self.first, self.other = first, other
        self.path, self.attributes = other.path, other.attributes
        self.leads = tuple(dict.fromkeys((*first.leads, *other.leads)))
        shared = [column for column in first.table if column in other.table]
        tables = first.table, other.table
        self.__dict__["table"] = WideTable(
            shared,
            sum(map(len, tables)),
            lambda names: pd.concat([table[names] for table in tables], ignore_index=True),
        )
        self.__dict__["patients"] = np.concatenate([first.patients, other.patients])
        self.__dict__["units"] = np.concatenate([first.units, other.units])

    @property
    def name(self) -> str:
        """The names of both stores."""
        return f"{self.first.name} to {self.other.name}"

    @property
    def content_hash(self) -> str:
        """Hash over both stores, so that caches of the pair are separate from those of each store."""
        return fingerprint(self.first.content_hash, self.other.content_hash)

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes of the store that is tested on and of the store that is learned from."""
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
    """Return the views of two stores under one signal contract as the view of the pair."""
    signal: Any = _Signals(first.signal, other.signal)
    present, lengths = ((a, b) for a, b in ((first.present, other.present), (first.lengths, other.lengths)))
    return View(first.spec, signal, np.concatenate(present), np.concatenate(lengths))
