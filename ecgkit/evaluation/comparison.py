"""Which of two results is better, tested on the records that both were scored on.

The test is paired: both results predict the same test records, and each resample of patients scores both
(`statistics.paired_difference`). Where several results are compared with one, p values are corrected by Holm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ecgkit.errors import ResultsError
from ecgkit.evaluation.measure import DRAWS
from ecgkit.evaluation.metrics import Floats
from ecgkit.evaluation.results import PREDICTIONS, ResultRow
from ecgkit.evaluation.statistics import Difference, Resampled, difference, holm, resample

ALPHA = 0.05


@dataclass(frozen=True)
class Comparison:
    """A result against the best of its column.

    Args:
        difference: Of the macro AUROC, or of a mean absolute error, best less this.
        p: Corrected for the number of comparisons that were made together.
    """

    difference: Difference
    p: float

    @property
    def distinguishable(self) -> bool:
        """Whether the best is better beyond doubt of 5 %."""
        return self.p < ALPHA


def compare(best: Path, others: Sequence[Path]) -> dict[Path, Comparison]:
    """Test results against the best one.

    Args:
        best: The ``row.json`` of the best result.
        others: Those of the others.

    Returns:
        By path, those that were scored on the very same test records and classes; the rest cannot be compared.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    reference = predictions_on_test(best)
    found: dict[Path, Difference] = {}
    labels = [name for name in reference.columns if name.startswith("y_")]
    targets = reference[labels].to_numpy(int)
    patients = reference["patient_id"].fillna("record " + reference.index.to_series())
    weights = resample(patients.astype(str).tolist(), draws=DRAWS)
    first = Resampled.of(targets, _scores(reference, labels), weights)
    for path in others:
        other = predictions_on_test(path)
        if set(other.index) != set(reference.index) or labels != [n for n in other.columns if n.startswith("y_")]:
            continue
        other = other.loc[reference.index]
        if not np.array_equal(targets, other[labels].to_numpy(int)):
            continue
        found[path] = difference(first, Resampled.of(targets, _scores(other, labels), weights))
    corrected = holm([difference.p for difference in found.values()])
    return {path: Comparison(found[path], float(p)) for path, p in zip(found, corrected, strict=True)}


def comparable(rows: Sequence[ResultRow]) -> bool:
    """Return whether results may stand in one column: the same data, test split and classes."""
    return len({(row.dataset, row.hashes.get("store"), tuple(c.label for c in row.classes)) for row in rows}) <= 1


def _scores(part: pd.DataFrame, labels: Sequence[str]) -> Floats:
    return part[["p_" + name.removeprefix("y_") for name in labels]].to_numpy(float)


def predictions_on_test(path: Path) -> pd.DataFrame:
    """Return the test predictions beside a row, by record id."""
    file = path.parent / PREDICTIONS
    try:
        frame = pd.read_parquet(file)
        return frame[frame["part"] == "test"].set_index("record_id")
    except Exception as error:  # pyarrow has many
        raise ResultsError(f"{file} cannot be read ({type(error).__name__})", "the predictions of a result") from None
