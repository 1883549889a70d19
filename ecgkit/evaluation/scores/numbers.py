"""Scores of predicted numbers, with intervals from resamples of patients, and beside a predictor that knows the mean.

``MAE``, ``RMSE`` and R2 are those of scikit-learn, r is Pearson's. All follow from sums over records, so every resample
is a row of one matrix product. The mean predictor says the training part's mean of every record: what a model is worth
beyond it is what its features tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Estimate, TargetScore, finite
from ecgkit.evaluation.scores.classes import DRAWS, pair
from ecgkit.evaluation.scores.comparison import Comparison, draws_for, predictions_on_test
from ecgkit.evaluation.scores.statistics import Difference, Intervals, difference_of, holm, intervals, resample
from ecgkit.tasks.data import TaskData

Floats = NDArray[np.float64]
METRICS = ("mae", "rmse", "r2", "pearson")
CHUNK = 64  # draws at a time, so that their weights as float64 stay small


def regression_metrics(
    targets: Floats, predicted: Floats, weights: NDArray[np.integer] | None = None
) -> dict[str, Floats]:
    """Score predictions.

    Args:
        targets: ``[R, C]``.
        predicted: ``[R, C]``, in the same units.
        weights: ``[K, R]``, how often each record counts; None for once.

    Returns:
        Each of `METRICS` as ``[C]``, or ``[K, C]`` with weights. R2 is NaN where all targets are alike, Pearson's r
        also where all predictions are.
    """
    # Centred first: sums of squares of numbers far from 0 would cancel.
    y, p = targets - targets.mean(axis=0), predicted - targets.mean(axis=0)
    error = predicted - targets
    moments = np.stack([np.ones_like(y), np.abs(error), error**2, y, y**2, p, p**2, y * p], axis=-1)  # (R, C, 8)
    sums = _weighted_sums(moments, np.ones((1, len(y)), np.uint8) if weights is None else weights)
    found = _metrics_of(sums)
    return {name: values[0] for name, values in found.items()} if weights is None else found


def _weighted_sums(moments: Floats, weights: NDArray[np.integer]) -> Floats:
    """Return ``[K, C, M]``: the moments ``[R, C, M]`` summed over records as often as each counts."""
    flat = moments.reshape(len(moments), -1)
    chunks = [weights[at : at + CHUNK].astype(np.float64) @ flat for at in range(0, len(weights), CHUNK)]
    return np.concatenate(chunks).reshape(len(weights), *moments.shape[1:])


def _metrics_of(sums: Floats) -> dict[str, Floats]:
    n, absolute, squared, y, yy, p, pp, yp = np.moveaxis(sums, -1, 0)
    spread_y, spread_p, together = yy - y * y / n, pp - p * p / n, yp - y * p / n
    # What rounding leaves of a constant is no spread.
    spread_y, spread_p = (
        np.where(s > 1e-12 * np.maximum(total, 1e-300), s, np.nan) for s, total in ((spread_y, yy), (spread_p, pp))
    )
    return {
        "mae": absolute / n,
        "rmse": np.sqrt(squared / n),
        "r2": 1 - squared / spread_y,
        "pearson": together / np.sqrt(spread_y * spread_p),
    }


def target_scores(data: TaskData, predicted: Floats, patients: NDArray[np.str_]) -> tuple[TargetScore, ...]:
    """Score the test part of a regression, with intervals, beside the mean of the training part.

    Args:
        data: The task on its store.
        predicted: ``[len(data.rows), C]``.
        patients: The patient of each of `data.rows`.
    """
    assert data.task.regression is not None
    train, test = data.targets[data.parts["train"]], data.targets[data.parts["test"]]
    weights = resample(patients[data.parts["test"]].tolist(), draws=DRAWS)
    means = np.broadcast_to(train.mean(axis=0), test.shape)
    model = _estimates(test, predicted[data.parts["test"]], weights)
    baseline = _estimates(test, means, weights)
    return tuple(
        TargetScore(
            target=short,
            name=target.name,
            unit=target.unit,
            records=len(test),
            mean=float(test[:, c].mean()),
            deviation=float(test[:, c].std()),
            train_mean=float(train[:, c].mean()),
            metrics={name: model[name][c] for name in METRICS},
            baseline={name: baseline[name][c] for name in METRICS if name != "pearson"},  # a constant has no r
        )
        for c, (short, target) in enumerate(data.task.regression.targets.items())
    )


def _estimates(targets: Floats, predicted: Floats, weights: NDArray[np.integer]) -> dict[str, list[Estimate]]:
    values, drawn = regression_metrics(targets, predicted), regression_metrics(targets, predicted, weights)
    return {name: _with_intervals(values[name], intervals(drawn[name])) for name in METRICS}


def _with_intervals(values: Floats, spread: Intervals) -> list[Estimate]:
    return [
        Estimate(value=finite(value), interval=pair(bounds))
        for value, bounds in zip(values, spread.classes, strict=True)
    ]


def strata(data: TaskData) -> NDArray[np.int8]:
    """Return what draws of training records are stratified by: the labels; of numbers, which fifth each lies in.

    Returns:
        ``[len(data.rows), C]``, or ``[len(data.rows), 5 C]`` of a regression, of 0 and 1.
    """
    if data.task.regression is None:
        return np.asarray(data.targets, np.int8)
    inner = np.quantile(data.targets, [0.2, 0.4, 0.6, 0.8], axis=0)  # (4, C)
    fifth = (data.targets > inner[:, None]).sum(axis=0)  # (R, C)
    return (fifth[:, :, None] == np.arange(5)).reshape(len(fifth), -1).astype(np.int8)


@dataclass(frozen=True)
class _Errors:
    """A result's absolute errors: their mean, and that of each resample ``[K]``."""

    mae: float
    draws: Floats


def compare_errors(best: Path, others: Sequence[Path], target: str) -> dict[Path, Comparison]:
    """Test results against the best one by the mean absolute error of one target, paired by record and resample.

    Args:
        best: The ``row.json`` of the result with the lowest error.
        others: Those of the others.
        target: The target's short name.

    Returns:
        By path, those that were scored on the very same numbers of the same records. A difference is the best one's
        error less the other's, so below 0 where the best is better.

    Raises:
        ResultsError: Predictions cannot be read.
    """
    reference = predictions_on_test(best)
    y, p = f"y_{target}", f"p_{target}"
    patients = reference["patient_id"].fillna("record " + reference.index.to_series())
    weights = resample(patients.astype(str).tolist(), draws=draws_for(len(others)))

    def errors(predicted: Floats) -> _Errors:
        found = np.abs(predicted - reference[y].to_numpy(float))
        sums = _weighted_sums(np.stack([found, np.ones_like(found)], axis=1)[:, None], weights)[:, 0]
        return _Errors(float(found.mean()), sums[:, 0] / sums[:, 1])

    first = errors(reference[p].to_numpy(float))
    found: dict[Path, Difference] = {}
    for path in others:
        other = predictions_on_test(path)
        if set(other.index) != set(reference.index) or not {y, p} <= {*other.columns}:
            continue
        other = other.loc[reference.index]
        if np.array_equal(other[y].to_numpy(float), reference[y].to_numpy(float)):
            second = errors(other[p].to_numpy(float))
            found[path] = difference_of(first.mae - second.mae, first.draws - second.draws)
    corrected = holm([difference.p for difference in found.values()])
    return {path: Comparison(best, found[path], float(p)) for path, p in zip(found, corrected, strict=True)}
