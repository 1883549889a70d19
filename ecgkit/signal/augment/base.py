"""What an augmentation is: a pure function of a signal and explicit draws, and settings that make the draws.

A signal is ``x [L, T]`` in the units of the model's input, for augmentation comes after normalisation. Leads are found
by name, so any subset of them works in any order. Every function returns a new array and leaves `x` as it is. What
draws are, and from which ranges, follows the paper or the code that each module names.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.floating]
Draws = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The form of a signal.

    Args:
        leads: Canonical names of the L rows.
        samples: T, the number of samples.
        fs: Sampling rate in Hz.
    """

    leads: tuple[str, ...]
    samples: int
    fs: float

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each sample in s, ``[T]``."""
        return np.arange(self.samples) / self.fs

    def rows(self, names: tuple[str, ...]) -> list[int]:
        """Return the rows of those of the named leads that are present, in the order of `names`."""
        return [self.leads.index(name) for name in names if name in self.leads]


class Augmentation(ABC):
    """Settings of one augmentation; subclasses are frozen dataclasses.

    `apply` is the pure function ``apply(x, layout, **draws) -> y``; it changes neither its arguments nor any state.
    """

    apply: ClassVar[Callable[..., Signal]]

    @abstractmethod
    def draw(self, rng: np.random.Generator, layout: Layout) -> Draws:
        """Return random arguments of `apply` for one signal of that form."""

    def __call__(self, x: Signal, layout: Layout, rng: np.random.Generator) -> Signal:
        """Return an augmented copy of ``x [L, T]``."""
        return type(self).apply(x, layout, **self.draw(rng, layout))


def portion(rng: np.random.Generator, samples: int, share: tuple[float, float], least: int = 0) -> tuple[int, int]:
    """Draw a stretch: its first sample and its length, a uniform share of `samples` that is cut to a whole number."""
    length = min(samples, max(least, int(rng.uniform(*share) * samples)))
    return int(rng.integers(0, samples - length, endpoint=True)), length
