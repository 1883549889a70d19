"""Which of two results is better, tested on the records that both were scored on.

The test is paired: both results predict the same test records, and each resample of patients scores both
(`statistics.paired_difference`). Where several results are compared with one, p values are corrected by Holm. Class by
class the pair is compared by DeLong's test, corrected by Holm over the pair's classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import ResultsError
from ecgkit.evaluation.results.row import PREDICTIONS, ResultRow
from ecgkit.evaluation.scores.classes import DRAWS
from ecgkit.evaluation.scores.metrics import Floats
from ecgkit.evaluation.scores.statistics import Difference, Resampled, delong, delong_p, difference, holm, resample
from ecgkit.parquet import read_frame

ALPHA = 0.05


@dataclass(frozen=True)
class ClassDifference:
    """A result against the best of its column in one class.

    Args:
        value: AUROC, best less this; below 0 where this one is the better in the class.
        p: Two-sided, of DeLong's test, for which records are independent; corrected for the classes of the pair.
    """

    value: float
    p: float

    @property
    def distinguishable(self) -> bool:
        """Whether the two differ in the class beyond doubt of 5 %."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Comparison:
    """A result against the best of its column.

    Args:
        best: The ``row.json`` of the best.
        difference: Of the macro AUROC, or of a mean absolute error, best less this.
        p: Corrected for the number of comparisons that were made together.
        classes: By label, those that can be tested: with two positives and two negatives at least.
    """

    best: Path
    difference: Difference
    p: float
    classes: Mapping[str, ClassDifference] = field(default_factory=dict)

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
    classes: dict[Path, dict[str, ClassDifference]] = {}
    labels = [name for name in reference.columns if name.startswith("y_")]
    targets = reference[labels].to_numpy(int)
    patients = reference["patient_id"].fillna("record " + reference.index.to_series())
    weights = resample(patients.astype(str).tolist(), draws=draws_for(len(others)))
    best_scores = _scores(reference, labels)
    first = Resampled.of(targets, best_scores, weights)
    for path in others:
        other = predictions_on_test(path)
        if set(other.index) != set(reference.index) or labels != [n for n in other.columns if n.startswith("y_")]:
            continue
        other = other.loc[reference.index]
        if not np.array_equal(targets, other[labels].to_numpy(int)):
            continue
        scores = _scores(other, labels)
        found[path] = difference(first, Resampled.of(targets, scores, weights))
        classes[path] = class_differences([name.removeprefix("y_") for name in labels], targets, best_scores, scores)
    corrected = holm([difference.p for difference in found.values()])
    return {
        path: Comparison(best, found[path], float(p), classes[path]) for path, p in zip(found, corrected, strict=True)
    }


def draws_for(comparisons: int) -> int:
    """Return how many resamples comparisons need that are corrected together.

    The least p that K resamples can give is 2 / (K + 1), and Holm multiplies it by up to the number of comparisons:
    with a fixed K nothing in a long table could ever be told apart. Here the product stays at 0.02 up to 100 of them.
    """
    return min(max(DRAWS, 100 * comparisons), 10_000)


def class_differences(
    labels: Sequence[str], targets: NDArray[np.integer], first: Floats, second: Floats
) -> dict[str, ClassDifference]:
    """Compare two results class by class on the same records, by DeLong's test with Holm's correction.

    Args:
        labels: C names.
        targets: ``[R, C]`` of 0 and 1.
        first: Scores of the better result, ``[R, C]``.
        second: Scores of the other.

    Returns:
        By label; a class without two positives and two negatives is left out, of the correction too.
    """
    values, variances = delong(targets, first, second)
    p = delong_p(values, variances)
    tested = [c for c, value in enumerate(p.tolist()) if np.isfinite(value)]
    corrected = holm(p[tested].tolist())
    return {labels[c]: ClassDifference(float(values[c]), float(q)) for c, q in zip(tested, corrected, strict=True)}


def comparable(rows: Sequence[ResultRow]) -> bool:
    """Return whether results may stand in one column: the same data, test split and classes."""
    return len({(row.dataset, row.hashes.get("store"), tuple(c.label for c in row.classes)) for row in rows}) <= 1


def _scores(part: pd.DataFrame, labels: Sequence[str]) -> Floats:
    return part[["p_" + name.removeprefix("y_") for name in labels]].to_numpy(float)


def predictions_on_test(path: Path) -> pd.DataFrame:
    """Return the test predictions beside a row, by record id."""
    file = path.parent / PREDICTIONS
    try:
        frame = read_frame(file)
        return frame[frame["part"] == "test"].set_index("record_id")
    except Exception as error:  # pyarrow has many
        raise ResultsError(f"{file} cannot be read ({type(error).__name__})", "the predictions of a result") from None
