"""Features of records, collected piece by piece."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fields = dict[str, NDArray[Any]]


class Collected:
    """Features of rows, collected piece by piece.

    Args:
        records: Number R of requested rows.
        fields: Names of the features.
    """

    def __init__(self, records: int, fields: Sequence[str]) -> None:
        self.records = records
        self.values: Fields = {}
        self.has = {field: np.zeros(records, bool) for field in fields}

    def put(self, field: str, at: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Set a field for some of the rows. The number of tokens may differ between calls."""
        old = self.values.get(field)
        if old is None or old.shape[1:] != values.shape[1:]:
            shape = values.shape[1:] if old is None else np.maximum(old.shape[1:], values.shape[1:])
            wider = np.zeros((self.records, *shape), values.dtype)
            if old is not None:
                wider[tuple(slice(n) for n in old.shape)] = old
            self.values[field] = wider
        inside: tuple[Any, ...] = (at, *(slice(n) for n in values.shape[1:]))
        self.values[field][inside] = values
        self.has[field][at] = True
