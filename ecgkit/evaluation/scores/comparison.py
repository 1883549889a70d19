"""Tests whether one result is better than others, on the test records that they share.

The tests are paired: all results predict the same test records. Their p values hold for all pairs of the compared
results together, because the best is known only after all were measured. Two results are compared in each class by
DeLong's test over patients, with Holm's correction over the classes of the pair. See
`ecgkit.evaluation.scores.significance`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ecgkit.evaluation.results.predictions import Predictions, read_predictions
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.evaluation.scores.areas import Areas, areas, unit_numbers
from ecgkit.evaluation.scores.bootstrap import Difference
from ecgkit.evaluation.scores.metrics import Floats
from ecgkit.evaluation.scores.significance import class_tests, differences_from, holm

ALPHA = 0.05


@dataclass(frozen=True)
class ClassDifference:
    """Comparison of a result with the best of its column in one class.

    Args:
        value: AUROC of the best minus that of this result; negative if this result is better in the class.
        p: Two-sided p value of DeLong's test over patients, corrected over the classes of the pair.
    """

    value: float
    p: float


@dataclass(frozen=True)
class Comparison:
    """Comparison of a result with the best of its column.

    Args:
        best: Path of the ``row.json`` of the best result.
        difference: Macro AUROC, or mean absolute error, of the best minus that of this result. Its p value holds for
            all pairs of the compared results together.
        classes: Comparison in each class, by label; only classes with positives and negatives in two patients each.
    """

    best: Path
    difference: Difference
    classes: Mapping[str, ClassDifference] = field(default_factory=dict)

    @property
    def p(self) -> float:
        """The p value of the difference."""
        return self.difference.p

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
    pairs = {path: other for path in others if (other := _same_records(read_predictions(path), reference)) is not None}
    units = unit_numbers(reference.patients)
    found = [areas(p.targets.astype(int), p.predicted, units) for p in (reference, *pairs.values())]
    first, scored = found[0], np.isfinite(found[0].values)
    if not scored.any():
        return {}
    differences = differences_from(
        0,
        [float(one.values[scored].mean()) for one in found],
        np.stack([one.cautious_shares[:, scored].mean(1) for one in found]),
        float(np.median([one.freedom(scored) for one in found])),
    )
    return {
        path: Comparison(best, difference, class_differences(reference.names, first, other))
        for path, difference, other in zip(pairs, differences[1:], found[1:], strict=True)
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
    read = {path: read_predictions(path) for path in others}
    having = {path: other.only([target]) for path, other in read.items() if target in other.names}
    pairs = {path: same for path, other in having.items() if (same := _same_records(other, reference)) is not None}
    units = unit_numbers(reference.patients)
    errors = np.stack([_errors(p) for p in (reference, *pairs.values())])
    count = int(units.max()) + 1
    if count < 2:
        return {}
    shares = np.stack([np.bincount(units, own - own.mean(), minlength=count) for own in errors]) / errors.shape[1]
    differences = differences_from(0, errors.mean(1).tolist(), shares * np.sqrt(count / (count - 1)), count - 1)
    return {path: Comparison(best, found) for path, found in zip(pairs, differences[1:], strict=True)}


def _errors(predictions: Predictions) -> Floats:
    """Return the absolute error of the only target in each record, ``[R]``."""
    return np.abs(predictions.targets[:, 0].astype(float) - predictions.predicted[:, 0])


def _same_records(other: Predictions, reference: Predictions) -> Predictions | None:
    """Return the predictions in the order of the reference's records; None if records or targets differ."""
    ordered = other.in_order_of(reference.records)
    if ordered is None or ordered.names != reference.names:
        return None
    return ordered if np.array_equal(ordered.targets, reference.targets) else None


def class_differences(labels: Sequence[str], first: Areas, second: Areas) -> dict[str, ClassDifference]:
    """Compare two results class by class on the same records.

    Args:
        labels: Names of the C classes.
        first: AUROCs of the better result.
        second: AUROCs of the other.

    Returns:
        Comparisons by label. Classes with positives or negatives in one patient only are left out, and do not count
        in the correction.
    """
    values, p = class_tests(first, second)
    tested = [c for c, value in enumerate(p.tolist()) if np.isfinite(value)]
    corrected = holm(p[tested]).tolist()
    return {labels[c]: ClassDifference(float(values[c]), float(q)) for c, q in zip(tested, corrected, strict=True)}


def comparable(rows: Sequence[ResultRow]) -> bool:
    """Return whether results can share a column: they need the same data, test split and classes."""
    return len({(row.dataset, row.hashes.get("store"), tuple(c.label for c in row.classes)) for row in rows}) <= 1
