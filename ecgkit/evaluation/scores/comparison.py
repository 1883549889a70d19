"""Tests whether one result is better than others, on the test records that they share.

The test is paired: all results predict the same test records, and each resample of patients scores all results. If
several results are compared with one, p values get Holm's correction. Two results are compared in each class by
DeLong's test, with Holm's correction over the classes of the pair.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.predictions import Predictions, read_predictions
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.bootstrap import (
    DRAWS,
    Difference,
    Resampled,
    auroc_difference,
    bootstrap_counts,
    difference_of,
)
from ecgkit.evaluation.scores.metrics import Floats
from ecgkit.evaluation.scores.regression import resampled_mae
from ecgkit.evaluation.scores.significance import delong, delong_p, holm

ALPHA = 0.05
Scored = TypeVar("Scored")


@dataclass(frozen=True)
class ClassDifference:
    """Comparison of a result with the best of its column in one class.

    Args:
        value: AUROC of the best minus that of this result; negative if this result is better in the class.
        p: Two-sided p value of DeLong's test, which takes records as independent; corrected over the classes of the
            pair.
    """

    value: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of a result with the best of its column.

    Args:
        best: Path of the ``row.json`` of the best result.
        difference: Macro AUROC, or mean absolute error, of the best minus that of this result.
        p: p value, corrected for the number of comparisons made together.
        classes: Comparison in each class, by label; only classes with at least two positives and two negatives.
    """

    best: Path
    difference: Difference
    p: float
    classes: Mapping[str, ClassDifference] = field(default_factory=dict)

    @property
    def distinguishable(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p < ALPHA


def compare_aurocs(best: Path, others: Sequence[Path]) -> dict[Path, Comparison]:
    """Test results against the best one by their macro AUROC.

    Args:
        best: Path of the ``row.json`` of the best result.
        others: Paths of the ``row.json`` of the other results.

    Returns:
        Comparisons by path. Results with other test records or classes than the best are left out.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    reference = read_predictions(best)
    weights = bootstrap_counts(reference.patients.tolist(), draws=draws_for(len(others)))
    pairs = {path: other for path in others if (other := _same_records(read_predictions(path), reference)) is not None}
    found = _differences(
        reference, pairs, lambda p: Resampled.of(p.targets.astype(int), p.predicted, weights), auroc_difference
    )
    targets = reference.targets.astype(int)
    return {
        path: Comparison(
            best, *found[path], class_differences(reference.names, targets, reference.predicted, other.predicted)
        )
        for path, other in pairs.items()
    }


def compare_errors(best: Path, others: Sequence[Path], target: str) -> dict[Path, Comparison]:
    """Test results against the best one by the mean absolute error of one target.

    Args:
        best: Path of the ``row.json`` of the result with the lowest error.
        others: Paths of the ``row.json`` of the other results.
        target: The target's short name.

    Returns:
        Comparisons by path. Results with other records or other true numbers than the best are left out. A difference
        is the error of the best minus that of the other, so it is negative if the best is better.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    reference = read_predictions(best, names=[target])
    weights = bootstrap_counts(reference.patients.tolist(), draws=draws_for(len(others)))
    read = {path: read_predictions(path) for path in others}
    having = {path: other.only([target]) for path, other in read.items() if target in other.names}
    pairs = {path: same for path, other in having.items() if (same := _same_records(other, reference)) is not None}

    def scored(p: Predictions) -> tuple[float, Floats]:
        return resampled_mae(p.targets[:, 0].astype(float), p.predicted[:, 0], weights)

    found = _differences(reference, pairs, scored, lambda a, b: difference_of(a[0] - b[0], a[1] - b[1]))
    return {path: Comparison(best, *found[path]) for path in pairs}


def _same_records(other: Predictions, reference: Predictions) -> Predictions | None:
    """Return the predictions in the order of the reference's records; None if records or targets differ."""
    ordered = other.in_order_of(reference.records)
    if ordered is None or ordered.names != reference.names:
        return None
    return ordered if np.array_equal(ordered.targets, reference.targets) else None


def _differences(
    reference: Predictions,
    others: Mapping[Path, Predictions],
    score: Callable[[Predictions], Scored],
    difference: Callable[[Scored, Scored], Difference],
) -> dict[Path, tuple[Difference, float]]:
    """Return the reference minus each other result, with p values after Holm's correction."""
    first = score(reference)
    found = {path: difference(first, score(other)) for path, other in others.items()}
    corrected = holm([one.p for one in found.values()]).tolist()
    return {path: (one, p) for (path, one), p in zip(found.items(), corrected, strict=True)}


def draws_for(comparisons: int) -> int:
    """Return the number of resamples for a number of comparisons that are corrected together.

    The smallest p that K resamples can give is 2 / (K + 1), and Holm's correction multiplies it by up to the number of
    comparisons. With a fixed K, no difference in a long table could be significant. Here the product stays at 0.02 for
    up to 100 comparisons.
    """
    return min(max(DRAWS, 100 * comparisons), 10_000)


def class_differences(
    labels: Sequence[str], targets: NDArray[np.integer], first: Floats, second: Floats
) -> dict[str, ClassDifference]:
    """Compare two results class by class on the same records, by DeLong's test with Holm's correction.

    Args:
        labels: Names of the C classes.
        targets: ``[R, C]`` of 0 and 1.
        first: Scores of the better result, ``[R, C]``.
        second: Scores of the other.

    Returns:
        Comparisons by label. Classes without two positives and two negatives are left out, and do not count in the
        correction.
    """
    values, variances = delong(targets, first, second)
    p = delong_p(values, variances)
    tested = [c for c, value in enumerate(p.tolist()) if np.isfinite(value)]
    corrected = holm(p[tested].tolist())
    return {labels[c]: ClassDifference(float(values[c]), float(q)) for c, q in zip(tested, corrected, strict=True)}


def comparable(rows: Sequence[ResultRow]) -> bool:
    """Return whether results can share a column: they need the same data, test split and classes."""
    return len({(row.dataset, row.hashes.get("store"), tuple(c.label for c in row.classes)) for row in rows}) <= 1
