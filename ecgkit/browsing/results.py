"""Predictions of results, joined to the records of the store that is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.predictions import has_predictions, read_predictions
from ecgkit.evaluation.results.row import ResultRow, find_rows
from ecgkit.reporting.elements.names import result_names
from ecgkit.store.records import RecordTable

PARTS = ("val", "test")
# What a search for errors finds, given whether the class is there and whether it was predicted.
KINDS = {"wrong": "any error", "missed": "missed", "false-alarm": "false alarm"}


@dataclass(frozen=True)
class Joined:
    """The predictions of a result.

    Args:
        rows: Rows of the store, ``[n]``.
        parts: ``val`` or ``test``, ``[n]``.
        targets: ``[n, C]``.
        predicted: ``[n, C]``.
    """

    rows: NDArray[np.int64]
    parts: NDArray[np.str_]
    targets: NDArray[np.float64]
    predicted: NDArray[np.float64]


@dataclass(frozen=True)
class ShownResult:
    """A result whose predictions are shown.

    Args:
        path: Its ``row.json``.
        row: The row.
        name: Name that distinguishes it from the other results of its task.
        records: The records of the store.
    """

    path: Path
    row: ResultRow
    name: str
    records: RecordTable

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Short names of its C classes or predicted numbers."""
        return (*(score.label for score in self.row.classes), *(score.target for score in self.row.targets))

    @cached_property
    def joined(self) -> Joined:
        """Its predictions; those of records that the store lacks are left out."""
        parts = [(part, read_predictions(self.path, part, names=self.names)) for part in PARTS]
        ids = np.concatenate([found.records for _, found in parts])
        place = self.records.places(ids.tolist())
        known = place >= 0
        return Joined(
            place[known],
            np.concatenate([np.full(len(found.records), part) for part, found in parts])[known],
            np.concatenate([found.targets.astype(np.float64) for _, found in parts])[known],
            np.concatenate([found.predicted for _, found in parts])[known],
        )

    def errors(self, name: str) -> NDArray[np.float64]:
        """Return the distance of prediction and truth by record, ``[R]``; NaN where nothing was predicted.

        Args:
            name: Class or predicted number; empty for the largest distance over all.
        """
        found, out = self.joined, np.full(len(self.records), np.nan)
        distance = np.abs(found.targets - found.predicted)
        out[found.rows] = np.nanmax(distance, axis=1, initial=0.0) if not name else distance[:, self._column(name)]
        return out

    def wrong(self, kind: str, name: str) -> NDArray[np.bool_]:
        """Return which records have an error of a kind of `KINDS`, bool ``[R]``.

        Args:
            kind: The kind.
            name: The class; empty for any class.

        Raises:
            ResultsError: The result predicts numbers, or the class is unknown.
        """
        if self.row.targets:
            raise ResultsError(f"{self.name} predicts numbers, which are neither missed nor false alarms")
        columns = [self._column(name)] if name else list(range(len(self.names)))
        thresholds = np.array([score.threshold for score in self.row.classes], np.float64)[columns]
        found, out = self.joined, np.zeros(len(self.records), bool)
        there, said = found.targets[:, columns] == 1, found.predicted[:, columns] >= thresholds
        known = np.isfinite(thresholds)
        errors = {"wrong": there != said, "missed": there & ~said, "false-alarm": ~there & said}
        out[found.rows] = (errors[kind] & known).any(1)
        return out

    def of(self, row: int) -> dict[str, Any] | None:
        """Return what was predicted of a record, by class; None if nothing was."""
        at = np.flatnonzero(self.joined.rows == row)
        if not len(at):
            return None
        truth, said = (values[at[0]].tolist() for values in (self.joined.targets, self.joined.predicted))
        words = [*(score.name for score in self.row.classes), *(score.name for score in self.row.targets)]
        thresholds = [*(score.threshold for score in self.row.classes), *(None for _ in self.row.targets)]
        lines = zip(self.names, words, truth, said, thresholds, strict=True)
        keys = ("name", "words", "truth", "predicted", "threshold")
        return {
            "part": str(self.joined.parts[at[0]]),
            "units": [score.unit for score in self.row.targets],
            "lines": [dict(zip(keys, line, strict=True)) for line in lines],
        }

    def _column(self, name: str) -> int:
        if name not in self.names:
            raise ResultsError(f"{self.name} has no class {name!r}", f"one of {', '.join(self.names[:12])}")
        return self.names.index(name)


def shown_results(paths: Sequence[Path], records: RecordTable) -> tuple[list[ShownResult], int]:
    """Return the results that were made on a store and have predictions, and the number of all others.

    Raises:
        ResultsError: A path holds no result, or a row cannot be read.
    """
    rows = find_rows(paths)
    own = [
        (path, row)
        for path, row in rows
        if row.hashes.get("store") == records.content_hash and (row.classes or row.targets) and has_predictions(path)
    ]
    names: dict[Path, str] = {}
    for task in dict.fromkeys(row.task for _, row in own):
        members = [(path, row) for path, row in own if row.task == task]
        names |= dict(zip((p for p, _ in members), result_names([row for _, row in members]), strict=True))
    return [ShownResult(path, row, names[path], records) for path, row in own], len(rows) - len(own)
