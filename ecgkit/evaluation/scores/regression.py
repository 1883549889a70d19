"""Scores of predicted numbers, with intervals from resamples of patients.

MAE, RMSE and R2 are defined as in scikit-learn, and r is Pearson's. All follow from sums over records, so each resample
is one row of a matrix product. The baseline is a mean predictor, which predicts the mean of the training set for every
record. A model must beat it to show that its features contain information on the number.
"""

import numpy as np
from numpy.typing import NDArray

from ecgkit.evaluation.results.row import Estimate, TargetScore, finite
from ecgkit.evaluation.scores.bootstrap import Intervals, bootstrap_counts, finite_interval, intervals
from ecgkit.evaluation.scores.metrics import Floats
from ecgkit.tasks.data import TaskData

METRICS = ("mae", "rmse", "r2", "pearson")
CHUNK = 64  # resamples per batch, so that their float64 weights need little memory


def regression_metrics(
    targets: Floats, predicted: Floats, weights: NDArray[np.integer] | None = None
) -> dict[str, Floats]:
    """Return the metrics of predicted numbers.

    Args:
        targets: True numbers ``[R, C]``.
        predicted: Predicted numbers ``[R, C]``, in the same units.
        weights: ``[K, R]``, how often each record counts; None counts each once.

    Returns:
        Each of `METRICS` as ``[C]``, or ``[K, C]`` with weights. R2 is NaN if all targets are equal; Pearson's r is
        NaN also if all predictions are equal.
    """
    # Centre first: differences of large sums of squares would lose precision.
    y, p = targets - targets.mean(axis=0), predicted - targets.mean(axis=0)
    error = predicted - targets
    moments = np.stack([np.ones_like(y), np.abs(error), error**2, y, y**2, p, p**2, y * p], axis=-1)  # (R, C, 8)
    sums = _weighted_sums(moments, np.ones((1, len(y)), np.uint8) if weights is None else weights)
    found = _metrics_of(sums)
    return {name: values[0] for name, values in found.items()} if weights is None else found


def _weighted_sums(moments: Floats, weights: NDArray[np.integer]) -> Floats:
    """Return the weighted sums ``[K, C, M]`` of the moments ``[R, C, M]`` over records."""
    flat = moments.reshape(len(moments), -1)
    chunks = [weights[at : at + CHUNK].astype(np.float64) @ flat for at in range(0, len(weights), CHUNK)]
    return np.concatenate(chunks).reshape(len(weights), *moments.shape[1:])


def _metrics_of(sums: Floats) -> dict[str, Floats]:
    n, absolute, squared, y, yy, p, pp, yp = np.moveaxis(sums, -1, 0)
    spread_y, spread_p, together = yy - y * y / n, pp - p * p / n, yp - y * p / n
    # A constant has no spread apart from rounding errors.
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
    """Score the test set of a regression with intervals, together with the mean predictor.

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
            # A constant prediction has no Pearson's r.
            baseline={name: baseline[name][c] for name in METRICS if name != "pearson"},
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
