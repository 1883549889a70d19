"""The mean over records of the mean over what counts in each, so that the cut of a batch changes nothing."""

from torch import Tensor


def mean_by_record(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over records of the mean of the values that count; a record without any adds 0.

    Args:
        values: ``[B, N]``.
        counted: Bool ``[B, N]``.
    """
    return ((values * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()
