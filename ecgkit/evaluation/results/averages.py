"""Several results that differ in nothing but their seed, as one number with its spread.

The command line, suites and the report page all state a number by `Average`, so they say the same of the same results.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ecgkit.wording import bounds, has_interval, interval, percent, quantity

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Average:
    """A metric over seeds.

    Args:
        value: The mean; None where no result has a value.
        deviation: Standard deviation over seeds that gave different numbers. None for a single result, and where all
            seeds gave the very same number: a linear solve on frozen features draws nothing, and a deviation of 0
            would look like certainty.
        interval: 95 % interval of a single result, or of several that are the same.
    """

    value: float | None
    deviation: float | None
    interval: Interval

    @property
    def percent(self) -> str:
        """The number x 100 with its spread: ``91.2 ± 0.3`` over seeds, else ``91.2 (90.4–92.0)``."""
        return self._text(percent, interval)

    @property
    def quantity(self) -> str:
        """The number in its own unit with its spread: ``7.12 ± 0.31`` over seeds, else ``7.12 (6.80 to 7.45)``."""
        return self._text(quantity, bounds)

    def _text(self, number: Callable[[float | None], str], ends: Callable[[Interval], str]) -> str:
        if self.deviation is not None:
            return f"{number(self.value)} ± {number(self.deviation)}"
        return number(self.value) + (f" ({ends(self.interval)})" if has_interval(self.interval) else "")


def average_over_seeds(results: Iterable[tuple[float | None, Interval]]) -> Average:
    """Return the mean and the spread of some results, each a value with its interval."""
    found = [(value, ends) for value, ends in results if value is not None]
    if not found:
        return Average(None, None, None)
    values = [value for value, _ in found]
    if len(set(values)) > 1:
        return Average(statistics.fmean(values), statistics.stdev(values), None)
    return Average(values[0], None, found[0][1])
