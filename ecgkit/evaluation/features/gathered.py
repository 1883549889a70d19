"""Features of records that are collected piece by piece, from files or as the records are encoded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Fields = dict[str, NDArray[Any]]


class Gathered:
    """Features of R records. Those of a record that was not put yet are zeros.

    Args:
        records: Number R of records.
        fields: Names of the fields; see `ecgkit.evaluation.features.extract.RecordFeatures`.
    """

    def __init__(self, records: int, fields: Sequence[str] = ()) -> None:
        self.records = records
        self.values: Fields = {}
        self.has = {field: np.zeros(records, bool) for field in fields}

    def put(self, field: str, at: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Set a field for some of the records. The number of tokens may differ between calls."""
        old = self.values.get(field)
        if old is None and np.array_equal(at, np.arange(self.records)):
            self.values[field] = values  # all at once, without a copy
        else:
            self._set(field, old, at, values)
        self.has.setdefault(field, np.zeros(self.records, bool))[at] = True

    def _set(self, field: str, old: NDArray[Any] | None, at: NDArray[np.int64], values: NDArray[Any]) -> None:
        if old is None or old.shape[1:] != values.shape[1:]:
            shape = values.shape[1:] if old is None else np.maximum(old.shape[1:], values.shape[1:])
            wider = np.zeros((self.records, *shape), values.dtype)
            if old is not None:
                wider[tuple(slice(n) for n in old.shape)] = old
            self.values[field] = wider
        inside: tuple[Any, ...] = (at, *(slice(n) for n in values.shape[1:]))
        self.values[field][inside] = values

    def lacks(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some records that lack a field."""
        if not self.has:
            return at
        return at[~np.logical_and.reduce([has[at] for has in self.has.values()])]

    def take(self, at: NDArray[np.int64]) -> Fields:
        """Return the fields of some records."""
        return {field: values[at] for field, values in self.values.items()}
