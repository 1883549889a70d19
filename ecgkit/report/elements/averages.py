"""Several results of one model that differ in their seed, as one number with its spread."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Average:
    """A metric over seeds.

    Args:
        value: The mean; None where no result has a value.
        deviation: Standard deviation over seeds; None for one, or where all gave the very same number: a linear solve
            on frozen features draws nothing, and its deviation of 0 would look like certainty.
        interval: 95 % interval of a single result, or of several that are the same.
    """

    value: float | None
    deviation: float | None
    interval: tuple[float, float] | None


def average(results: Iterable[tuple[float | None, tuple[float, float] | None]]) -> Average:
    """Return the mean and the spread of some results, each a value with its interval."""
    found = list(results)
    values = [value for value, _ in found if value is not None]
    if not values:
        return Average(None, None, None)
    if len(set(found)) == 1:
        return Average(values[0], None, found[0][1])
    return Average(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, None)
