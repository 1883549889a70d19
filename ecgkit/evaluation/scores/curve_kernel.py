"""The compiled loop of `ecgkit.evaluation.scores.metrics`: one pass down a ranking for each resample."""

import numpy as np
from numpy.typing import NDArray

from ecgkit.compiled import compiled


@compiled
def _weight_of_classes(positive: NDArray[np.bool_], weights: NDArray[np.int32]) -> tuple[int, int]:
    """Return the numbers of positives and negatives in a resample ``[R]``."""
    positives, negatives = 0, 0
    for i in range(len(positive)):
        if positive[i]:
            positives += weights[i]
        else:
            negatives += weights[i]
    return positives, negatives


@compiled
def curve(
    order: NDArray[np.int64],
    last: NDArray[np.bool_],
    positive: NDArray[np.bool_],
    weights: NDArray[np.int32],
    false_share: float,
    out: NDArray[np.float64],
) -> None:
    """Score one class on every resample.

    Args:
        order: ``[R]``, records by descending score.
        last: ``[R]``, whether the next record in that order has another score.
        positive: ``[R]``, whether each record is positive.
        weights: ``[K, R]``, how often each record counts.
        false_share: Largest false positive rate, for the sensitivity.
        out: ``[1, K]``, filled with AUROC, or ``[4, K]``, filled also with average precision, highest F1 and
            sensitivity. NaN where a metric is not defined.
    """
    every = len(out) > 1
    for k, w in enumerate(weights):
        positives, negatives = _weight_of_classes(positive, w)
        true, false, true_before, false_before = 0, 0, 0, 0
        pairs, precision, f1, sensitivity = 0, 0.0, 0.0, 0.0
        allowed = false_share * negatives + 1e-9
        for rank in range(len(order)):
            i = order[rank]
            if positive[i]:
                true += w[i]
            else:
                false += w[i]
            if not last[rank] or true + false == true_before + false_before:
                continue
            # A negative stands below all positives before its score, and ties with half of those that share it.
            pairs += (false - false_before) * (true_before + true)
            if every:
                precision += (true - true_before) * true / (true + false)
                f1 = max(f1, 2 * true / (true + false + positives))
                if false <= allowed:
                    sensitivity = true / max(positives, 1)
            true_before, false_before = true, false
        out[:, k] = np.nan
        if positives and negatives:
            out[0, k] = 0.5 * pairs / (positives * negatives)
        if positives and every:
            out[1, k], out[2, k], out[3, k] = precision / positives, f1, sensitivity
