"""Averages results that differ only in their seed into one number with its spread.

The command line, suites and the report page all use `Average`, so they show the same number for the same results, and
`model_names`, so they average the same results.
"""

import itertools
import statistics
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ecgkit.evaluation.results.row import ResultRow
from ecgkit.wording import bounds, has_interval, interval, percent, quantity

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Average:
    """The mean of a metric over seeds, with its spread.

    Args:
        value: The mean; None if no result has a value.
        deviation: Standard deviation over seeds. None for a single result, and if all seeds gave exactly the same
            number: a linear solve on frozen features has no randomness, and a deviation of 0 would look like
            certainty.
        interval: 95 % interval of a single result, or of several results that are all the same.
        seeds: Number of seeds. Two results of one seed count once.
    """

    value: float | None
    deviation: float | None
    interval: Interval
    seeds: int = 1

    @property
    def percent(self) -> str:
        """The number in per cent with its spread: ``91.2 ± 0.3`` over seeds, else ``91.2 (90.4–92.0)``."""
        return self._text(percent, interval)

    @property
    def quantity(self) -> str:
        """The number in its own unit with its spread: ``7.12 ± 0.31`` over seeds, else ``7.12 (6.80 to 7.45)``."""
        return self._text(quantity, bounds)

    def _text(self, number: Callable[[float | None], str], ends: Callable[[Interval], str]) -> str:
        if self.deviation is not None:
            return f"{number(self.value)} ± {number(self.deviation)}"
        return number(self.value) + (f" ({ends(self.interval)})" if has_interval(self.interval) else "")


Result = tuple[Hashable, float | None, Interval]


def average_over_seeds(results: Iterable[Result]) -> Average:
    """Return the mean and the spread of several results.

    Args:
        results: The seed of each result (see `seed_of`), its value and its interval. Results of one seed, such as
            those of a probe that was made twice, count as one result: the first.
    """
    of_seed: dict[Hashable, tuple[float | None, Interval]] = {}
    for seed, value, ends in results:
        of_seed.setdefault(seed, (value, ends))
    found = [(value, ends) for value, ends in of_seed.values() if value is not None]
    if not found:
        return Average(None, None, None, len(of_seed))
    values = [value for value, _ in found]
    if len(set(values)) > 1:
        return Average(statistics.fmean(values), statistics.stdev(values), None, len(of_seed))
    return Average(values[0], None, found[0][1], len(of_seed))


def average_auroc(rows: Iterable[ResultRow]) -> Average:
    """Return the mean and the spread of the macro AUROC of several results."""
    return average_over_seeds((seed_of(row), row.macro_auroc, row.macro_interval) for row in rows)


def seed_of(row: ResultRow) -> Hashable:
    """Return what distinguishes results that are averaged: their seed, their weights and their lead set."""
    return row.seed, row.hashes.get("checkpoint", ""), row.lead_set


MOST_SEEDS = 6  # listed in a name


def model_names(rows: Sequence[ResultRow]) -> list[str]:
    """Name the model of each result, under which its seeds are averaged.

    A model is a run. Several runs are one model if they were pretrained with the same settings on the same records,
    each with another seed: ``simclr, seeds 0, 1, 2``. Runs of results that do not state their settings stay apart.
    """
    members: dict[str, dict[str, ResultRow]] = {}
    for row in rows:
        if settings := row.facts.checkpoint.training:
            members.setdefault(settings, {}).setdefault(row.run, row)
    names: dict[str, str] = {}
    for runs in members.values():
        seeds = {row.facts.checkpoint.training_seed for row in runs.values()}
        if len(runs) > 1 and len(seeds) == len(runs):
            name = _shared_name(runs)
            again = len({other for other in names.values() if other == name or other.startswith(f"{name} (")})
            names |= dict.fromkeys(runs, f"{name} ({again + 1})" if again else name)
    return [names.get(row.run, row.run) for row in rows]


def _shared_name(runs: Mapping[str, ResultRow]) -> str:
    """Return what the names of runs begin with, or else their method; and their seeds."""
    alike = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*runs, strict=False))
    common = "".join(letters[0] for letters in alike).rstrip("0123456789")
    name = common.removesuffix("seed").removesuffix("s").rstrip("-_. ") or next(iter(runs.values())).method
    seeds = sorted(seed for row in runs.values() if (seed := row.facts.checkpoint.training_seed) is not None)
    listed = f"seeds {', '.join(map(str, seeds))}" if len(seeds) <= MOST_SEEDS else f"{len(seeds)} seeds"
    return f"{name}, {listed}"
