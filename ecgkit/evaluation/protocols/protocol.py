"""A protocol pins the choices that a number depends on, so that it can stand beside a published one.

Each is a YAML file that a plugin registers. What a probe does otherwise than the published code is a departure, named
in the result: those that hold for every probe stand in the file, those of one probe are added to it.
"""

from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

import yaml

from ecgkit.config import build
from ecgkit.entries import ProtocolEntry
from ecgkit.evaluation.protocols.draws import Amount, Rule
from ecgkit.plugins import host


@dataclass(frozen=True)
class Protocol:
    """The choices behind a number.

    Args:
        title: Whose.
        draw: How training records are drawn when not all are used.
        heads: Heads that it knows; another one is a departure. Empty for any.
        state: Random state of its draw, to which the seed is added; a seed other than 0 is then a departure.
        seeds: How many draws a fraction gets, by the largest fraction in per cent; larger ones get one.
        count_seeds: How many draws a label count gets.
        tables: Whether it has split tables, which `splits` then reads.
        shipped: Tasks whose labels are those of the published split tables, not those of the store.
        departures: What is done otherwise than in the published code, by heading.
    """

    title: str
    draw: Rule
    heads: tuple[str, ...] = ()
    state: int | None = None
    seeds: dict[float, int] = field(default_factory=dict)
    count_seeds: int = 1
    tables: bool = False
    shipped: tuple[str, ...] = ()
    departures: dict[str, str] = field(default_factory=dict)

    def draws(self, amount: Amount) -> int:
        """Return how many draws an amount of training records gets."""
        if amount.count is not None:
            return self.count_seeds
        return next((n for limit, n in sorted(self.seeds.items()) if amount.percent <= limit), 1)

    def draw_seed(self, seed: int) -> int:
        """Return the random state of a draw."""
        return seed if self.state is None else self.state + seed

    def label_set(self, task: str) -> Literal["exact", "shipped"]:
        """Return whose labels a task has: the store's codes, or those of the published tables."""
        return "shipped" if task in self.shipped else "exact"


def load_protocol(name: str) -> Protocol:
    """Return a protocol by name.

    Raises:
        PluginError: There is none of that name.
        ConfigError: Its file is wrong.
    """
    entry = host().get(ProtocolEntry, name)
    package, _, file = entry.target.partition(":")
    values = yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    return build(Protocol, values, source=entry.target)
