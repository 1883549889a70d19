"""Scores of predicted numbers, with intervals from resamples of patients.

MAE, RMSE and R2 are defined as in scikit-learn, and r is Pearson's. All follow from sums over records, so each resample
is one row of a matrix product. Beside each score stands that of a mean predictor, which predicts the mean of the
training part for every record. A model must beat it to show that its features hold the number.
"""

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Estimate, TargetScore, finite
from ecgkit.evaluation.scores.bootstrap import Intervals, bootstrap_counts, finite_interval, intervals
from ecgkit.evaluation.scores.metrics import Floats
from ecgkit.tasks.data import TaskData

METRICS = ("mae", "rmse", "r2", "pearson")
CHUNK = 64  # resamples at a time, so that their weights as float64 stay small


def regression_metrics(
    targets: Floats, predicted: Floats, weights: NDArray[np.integer] | None = None
) -> dict[str, Floats]:
    """Score predictions.

    Args:
        targets: ``[R, C]``.
        predicted: ``[R, C]``, in the same units.
        weights: ``[K, R]``, how often each record counts; None counts each once.

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


def score_targets(data: TaskData, predicted: Floats, patients: NDArray[np.str_]) -> tuple[TargetScore, ...]:
    """Score the test part of a regression with intervals, and a predictor of the training mean beside it.

    Args:
        data: The task on its store.
        predicted: ``[len(data.rows), C]``.
        patients: The patient of each of `data.rows`.
    """
    assert data.task.regression is not None
    train, test = data.targets[data.parts["train"]], data.targets[data.parts["test"]]
    weights = bootstrap_counts(patients[data.parts["test"]].tolist())
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
        Estimate(value=finite(value), interval=finite_interval(bounds))
        for value, bounds in zip(values, spread.classes, strict=True)
    ]


def resampled_mae(targets: Floats, predicted: Floats, weights: NDArray[np.integer]) -> tuple[float, Floats]:
    """Return the mean absolute error of one target ``[R]``, and that of each resample, ``[K]``."""
    errors = np.abs(predicted - targets)
    sums = _weighted_sums(np.stack([errors, np.ones_like(errors)], axis=1)[:, None], weights)[:, 0]
    return float(errors.mean()), sums[:, 0] / sums[:, 1]
