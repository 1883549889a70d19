"""A protocol fixes the choices that a number depends on, so that the number can be compared with a published one.

Each protocol is a YAML file that a plugin registers. A departure is anything that a probe does differently from the
published code; results name their departures. The file lists departures of every probe; those of one probe are added.
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
    """The choices behind a published number.

    Args:
        title: Title, such as the name of the benchmark or paper.
        draw: How training records are drawn when not all are used.
        heads: Heads that belong to the protocol; another head is a departure. Empty for any head.
        state: Random state of the draw; the seed is added to it, and a seed other than 0 is then a departure.
        seeds: Number of draws for fractions up to each given percentage; larger fractions get one draw.
        count_seeds: Number of draws for a label count.
        tables: Whether the protocol has published split tables, which `splits` then reads.
        shipped: Tasks that take their labels from the published split tables instead of the store.
        departures: What is done differently from the published code, by heading.
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
        """Return the number of draws for an amount of training records."""
        if amount.count is not None:
            return self.count_seeds
        return next((n for limit, n in sorted(self.seeds.items()) if amount.percent <= limit), 1)

    def draw_seed(self, seed: int) -> int:
        """Return the random state of the draw with the given seed."""
        return seed if self.state is None else self.state + seed

    def label_set(self, task: str) -> Literal["exact", "shipped"]:
        """Return the label set of a task: from the store's codes, or from the published tables."""
        return "shipped" if task in self.shipped else "exact"


def load_protocol(name: str) -> Protocol:
    """Return the protocol with the given name.

    Raises:
        PluginError: There is no protocol of that name.
        ConfigError: Its file is wrong.
    """
    entry = host().get(ProtocolEntry, name)
    package, _, file = entry.target.partition(":")
    values = yaml.safe_load(files(package).joinpath(file).read_text(encoding="utf-8"))
    return build(Protocol, values, source=entry.target)
