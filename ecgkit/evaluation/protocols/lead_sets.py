"""Lead sets of an evaluation: named sets, every lead alone, and random subsets that all models share.

A model that accepts any leads gets only the given ones. Any other model fills the missing leads itself, and its result
states with what. Filters and scaling see only the given leads.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from ecgkit.errors import ConfigError, LeadError
from ecgkit.leads import LEAD_SETS, LIMB_LEADS, STANDARD_LEADS, canonical_order, parse_lead

# In addition to the sets of `ecgkit.leads`: the CinC Challenge 2021 sets by count, and what a wrist watch records.
EVALUATION_SETS: dict[str, tuple[str, ...]] = {
    **LEAD_SETS,
    "6": LIMB_LEADS,
    "4": ("I", "II", "III", "V2"),
    "watch": ("I",),
}
EACH = "all-single"
RANDOM = "random"
FRANK = ("X", "Y", "Z")  # letters of channels in files: VX, VY, VZ
DRAW_SEED = 20  # seed of the random subsets: the same subsets for every model and store
EXPECTED = f"one of {', '.join(EVALUATION_SETS)}, leads such as I,II or I+II, {EACH}, or {RANDOM}:k:subsets"


@dataclass(frozen=True)
class LeadSet:
    """A named set of leads that a model is given.

    Args:
        name: The name that the user gave; random subsets also have a number.
        leads: Canonical names in the standard order.
        group: Name without the number; sets with the same group are summarised together.
    """

    name: str
    leads: tuple[str, ...]
    group: str = ""


def parse_lead_sets(names: str | Sequence[str]) -> tuple[LeadSet, ...]:
    """Return the lead sets that one name or several stand for, without repeats.

    A comma joins the leads of one set, as in the other commands: ``I,II`` is the set that results call ``I+II``.

    Raises:
        ConfigError: A name is not a lead set, contains an unknown lead, or joins sets by a comma.
    """
    given = [names] if isinstance(names, str) else names
    sets = [found for name in given for found in _parse(name.strip())]
    return tuple({found.name: found for found in sets}.values())


def lead_set(name: str) -> LeadSet:
    """Return the lead set of a name; the name may be one random subset, such as ``random:3#2``.

    Raises:
        ConfigError: The name gives no lead set, or several.
    """
    kind, numbered, number = name.partition("#")
    sets = random_sets(f"{kind}:{number}")[-1:] if numbered else parse_lead_sets(name)
    if len(sets) != 1:
        raise ConfigError(f"leads {name!r} are {len(sets)} sets", "one set of leads")
    return sets[0]


def _parse(part: str) -> list[LeadSet]:
    if part == EACH:
        return [LeadSet(lead, (lead,), EACH) for lead in STANDARD_LEADS]
    if part.split(":")[0] == RANDOM:
        return random_sets(part)
    if part.lower() in EVALUATION_SETS:
        return [LeadSet(part.lower(), EVALUATION_SETS[part.lower()], part.lower())]
    names = [name.strip() for name in re.split("[+,]", part)]
    joined = [name for name in names if name.lower() in EVALUATION_SETS or name.split(":")[0] in (EACH, RANDOM)]
    if joined:
        each = " ".join(f"--leads {name}" for name in part.replace("+", ",").split(","))
        raise ConfigError(
            f"--leads {part!r} joins sets of leads, such as {joined[0]}",
            remedy=f"A comma joins the leads of one set. For several sets, repeat the option, such as: {each}",
        )
    frank = next((name for name in names if name.upper() in FRANK), "")
    if (
        frank
    ):  # a letter such as X stands for Frank's lead in a file, but for a mistake or any lead where a person types
        raise ConfigError(
            f"--leads {part!r} (lead {frank!r} is unknown)", EXPECTED, f"Frank's lead is called V{frank.upper()}."
        )
    try:
        leads = tuple(parse_lead(name) for name in names)
    except LeadError as error:
        raise ConfigError(f"--leads {part!r} ({error.found})", EXPECTED) from None
    if len(set(leads)) < len(leads):
        raise ConfigError(f"--leads {part!r} names a lead twice", "different leads")
    ordered = canonical_order(leads)
    return [LeadSet("+".join(ordered), ordered, "+".join(ordered))]


def random_sets(text: str) -> list[LeadSet]:
    """Draw different subsets of k of the twelve leads, as specified by ``random:k:subsets``.

    Raises:
        ConfigError: k or the number of subsets is impossible.
    """
    parts = text.split(":")
    numbers = [int(part) for part in parts[1:] if part.isdecimal()]
    if len(numbers) != 2 or len(parts) != 3:
        raise ConfigError(f"--leads {text!r}", f"{RANDOM}:k:subsets, such as {RANDOM}:3:20")
    k, subsets = numbers
    most = comb(len(STANDARD_LEADS), k)
    if not 1 <= k <= len(STANDARD_LEADS) or not 1 <= subsets <= most:
        raise ConfigError(f"--leads {text!r}", f"k from 1 to {len(STANDARD_LEADS)}, and at most {most} subsets of {k}")
    rng = np.random.default_rng([DRAW_SEED, k])
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < subsets:
        chosen = rng.choice(len(STANDARD_LEADS), k, replace=False)
        drawn[tuple(STANDARD_LEADS[i] for i in sorted(chosen))] = None
    return [LeadSet(f"{RANDOM}:{k}#{i}", leads, f"{RANDOM}:{k}") for i, leads in enumerate(drawn, 1)]
