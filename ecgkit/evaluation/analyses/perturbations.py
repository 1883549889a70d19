"""The perturbations of a record: each has a name, levels in a unit, and a function of a window.

A perturbation acts on the signal as recorded: in mV (or the store's unit), at the contract's sampling rate, before
crop, filter and scaling. The contract's own filter can therefore reduce it.

To add a perturbation, write a function of a window and add an entry to `PERTURBATIONS`.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.ndimage

from ecgkit.errors import ConfigError
from ecgkit.evaluation.analyses.noise import NOISES, Window, add_noise, leads_off
from ecgkit.leads import STANDARD_LEADS

NOISE = "noise"
LEAST_DB, MOST_DB = -40.0, 100.0  # limits in dB; beyond them, nothing of the signal or of the noise is left


@dataclass(frozen=True)
class Perturbation:
    """A way to disturb a record.

    Args:
        name: Name in the rows of results.
        unit: Unit of the level, such as ``ms``; empty for a count.
        summary: One line for lists.
        apply: ``f(window [L, T], fs in Hz, level, generator) -> [L, T]``; it must change nothing at `undisturbed`.
        undisturbed: Level at which nothing is changed; infinite for a signal-to-noise ratio.
        lowest: The lowest level.
        highest: The highest level.
        whole: Whether levels are whole numbers.
    """

    name: str
    unit: str
    summary: str
    apply: Callable[[Window, float, float, np.random.Generator], Window]
    undisturbed: float = 0.0
    lowest: float = 0.0
    highest: float = math.inf
    whole: bool = False

    @property
    def axis(self) -> str:
        """Label of the axis of levels in a figure."""
        return f"{self.summary} ({self.unit})" if self.unit else self.summary


@dataclass(frozen=True)
class Disturbances:
    """A list of perturbations and levels. The test records are disturbed by each perturbation at each level.

    Args:
        name: Name for folders and titles.
        perturbations: The perturbations; all have the same unit.
        levels: Levels without repeats. The undisturbed level is always measured and need not be listed.
    """

    name: str
    perturbations: tuple[Perturbation, ...]
    levels: tuple[float, ...]

    @property
    def kind(self) -> Perturbation:
        """The first perturbation; all of them share its unit and undisturbed level."""
        return self.perturbations[0]


def shift_leads(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Shift each lead by its own time, drawn from +- level / 2 ms, so that no two leads are more than `level` apart.

    Between samples it interpolates by cubic splines; at the ends the last sample is held.
    """
    if level == 0:
        return window
    shifts = rng.uniform(-level / 2, level / 2, len(window)) * fs / 1000
    moved = [scipy.ndimage.shift(row, by, order=3, mode="nearest") for row, by in zip(window, shifts, strict=True)]
    return np.stack(moved).astype(np.float32)


PERTURBATIONS: dict[str, Perturbation] = {
    "lead-shift": Perturbation("lead-shift", "ms", "leads shifted against each other", shift_leads),
    "lead-off": Perturbation("lead-off", "", "flat leads", leads_off, highest=len(STANDARD_LEADS) - 1, whole=True),
}


def noise_of(kinds: tuple[str, ...]) -> Perturbation:
    """Return the perturbation that adds one kind of noise, or several at once."""
    return Perturbation(
        "+".join(kinds),
        "dB",
        "signal-to-noise ratio",
        partial(add_noise, kinds),
        undisturbed=math.inf,
        lowest=LEAST_DB,
        highest=MOST_DB,
    )


def parse_disturbances(text: str) -> Disturbances:
    """Read ``NAME=LEVEL,LEVEL,...UNIT``, such as ``lead-shift=0,10,20,50ms``, or noise with its kinds.

    ``noise=em,bw,ma:24,12,0dB`` are three kinds of noise one after the other, ``noise=em+bw:6dB`` two at once.

    Raises:
        ConfigError: The name or a kind of noise is unknown, or a level is not a number in range.
    """
    name, _, levels = text.partition("=")
    if name == NOISE:
        kinds, _, levels = levels.partition(":")
        chosen = tuple(noise_of(_kinds(part, text)) for part in dict.fromkeys(kinds.split(",")))
        label = f"{NOISE}-{'-'.join(perturbation.name for perturbation in chosen)}"
    elif name in PERTURBATIONS:
        chosen, label = (PERTURBATIONS[name],), name
    else:
        raise ConfigError(f"perturbation {name!r}", f"one of {', '.join([*PERTURBATIONS, NOISE])}")
    numbers = [_level(part.strip(), chosen[0], text) for part in levels.split(",")]
    return Disturbances(label, chosen, tuple(dict.fromkeys(numbers)))


def _kinds(part: str, text: str) -> tuple[str, ...]:
    kinds = tuple(kind.strip() for kind in part.split("+"))
    if not set(kinds) <= set(NOISES) or len(set(kinds)) < len(kinds):
        raise ConfigError(
            f"--perturb {text!r}",
            f"noise of {', '.join(NOISES)}, joined by , for each or by + for all at once, "
            f"such as {NOISE}=em,bw:24,12,0dB",
        )
    return kinds


def _level(part: str, perturbation: Perturbation, text: str) -> float:
    match = re.fullmatch(rf"(-?\d+(?:\.\d+)?)\s*(?:{re.escape(perturbation.unit)})?", part)
    level = float(match[1]) if match else math.nan
    if not perturbation.lowest <= level <= perturbation.highest or (perturbation.whole and level % 1):
        raise ConfigError(f"--perturb {text!r}", f"levels {_allowed(perturbation)}")
    return level


def _allowed(perturbation: Perturbation) -> str:
    unit, lowest, highest = perturbation.unit, perturbation.lowest, perturbation.highest
    number = "whole numbers " if perturbation.whole else f"in {unit} "
    bounds = f"of {lowest:g} or more" if highest == math.inf else f"from {lowest:g} to {highest:g}"
    asked = f"{NOISE}={perturbation.name}:24,12,0" if perturbation.unit == "dB" else f"{perturbation.name}=0,1,3"
    return f"{number}{bounds}, such as {asked}{unit}"
