"""The predictions stored beside a result row: targets and predicted values of the validation and test records.

``predictions.parquet`` has the columns ``record_id``, ``patient_id``, ``part``, and for each class or target NAME its
true value ``y_NAME`` and its probability or predicted number ``p_NAME``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow
from ecgkit.parquet import read_frame
from ecgkit.store.identity import independent_units


@dataclass(frozen=True)
class Predictions:
    """Predictions of R records on C classes or targets.

    Args:
        names: Names of the C classes or targets.
        records: ``[R]`` record ids.
        patients: ``[R]`` patient ids, or the recording where the patient is unknown.
        targets: ``[R, C]``: 0 and 1, or numbers.
        predicted: ``[R, C]``: probabilities, or numbers.
    """

    names: tuple[str, ...]
    records: NDArray[np.str_]
    patients: NDArray[np.str_]
    targets: NDArray[Any]
    predicted: NDArray[np.float64]

    def only(self, names: Sequence[str]) -> "Predictions":
        """Return the predictions of the given classes or targets, in the given order."""
        columns = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), targets=self.targets[:, columns], predicted=self.predicted[:, columns])

    def in_order_of(self, records: NDArray[np.str_]) -> "Predictions | None":
        """Return the predictions in the order of the given records, or None if they are of other records."""
        order, wanted = np.argsort(self.records, kind="stable"), np.argsort(records, kind="stable")
        if not np.array_equal(self.records[order], records[wanted]):
            return None
        rows = np.empty_like(order)
        rows[wanted] = order
        return replace(
            self,
            records=self.records[rows],
            patients=self.patients[rows],
            targets=self.targets[rows],
            predicted=self.predicted[rows],
        )


def has_predictions(path: Path) -> bool:
    """Return whether predictions lie beside a ``row.json``."""
    return (path.parent / PREDICTIONS).is_file()


def read_predictions(path: Path, part: str = "test", *, names: Sequence[str] | None = None) -> Predictions:
    """Read the predictions of one part.

    Args:
        path: The ``row.json`` in the same folder.
        part: ``val`` or ``test``.
        names: The classes or targets to read; None reads all that the file holds.

    Raises:
        ResultsError: The file cannot be read, or lacks a class or target.
    """
    file = path.parent / PREDICTIONS
    hint = "Make the result again with: ecgkit probe"
    try:
        table = read_frame(file)
        table = table[table["part"] == part]
        records = table["record_id"].astype(str).to_numpy(dtype=str)
        patients = independent_units(table)
    except Exception as error:  # pyarrow has many
        raise ResultsError(f"{file} cannot be read ({type(error).__name__})", "", hint) from None
    if names is None:
        names = [str(column).removeprefix("y_") for column in table.columns if str(column).startswith("y_")]
    missing = [name for name in names if not {f"y_{name}", f"p_{name}"} <= {*table.columns}]
    if missing:
        raise ResultsError(f"{file} lacks predictions of {missing[0]!r}", "", hint)
    targets, predicted = (table[[f"{kind}_{name}" for name in names]].to_numpy() for kind in "yp")
    return Predictions(tuple(names), records, patients, targets, predicted.astype(np.float64))


def predictions_of(path: Path, row: ResultRow) -> Predictions:
    """Read the test predictions of all classes or targets of a row.

    Raises:
        ResultsError: They cannot be read, or lack a class or target of the row.
    """
    names = [score.label for score in row.classes] + [score.target for score in row.targets]
    return read_predictions(path, names=names)
