"""Mentions of entities in a text: a name and a polarity each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Polarity = Literal["present", "uncertain", "absent"]
POLARITIES: tuple[Polarity, ...] = get_args(Polarity)  # if one report says several, the first of these wins

# A name is a short noun phrase. Models sometimes put longer texts under "name"; those are not names.
LONGEST_NAME, MOST_WORDS = 80, 10
_NAME = re.compile(r"[\w(][\w\s()/,.'+&:-]*")


@dataclass(frozen=True)
class Mention:
    """An entity as one text mentions it.

    Args:
        name: Normalised name, as the extractor returned it; the vocabulary maps it to an entity.
        polarity: Whether the text says that the entity is present, uncertain or absent.
        spans: Positions in the cleaned text, ``(start, stop)`` in characters; empty if unknown.
    """

    name: str
    polarity: Polarity
    spans: tuple[tuple[int, int], ...] = ()


def normalise_name(name: str) -> str:
    """Return a name in lower case with single spaces; empty if it cannot be the name of a finding."""
    name = " ".join(name.lower().split()).strip(" .,;:-")
    fits = len(name) <= LONGEST_NAME and len(name.split()) <= MOST_WORDS and _NAME.fullmatch(name)
    return name if fits else ""


def strongest(polarities: Iterable[Polarity]) -> Polarity:
    """Return the polarity that wins over several of one entity: present, else uncertain, else absent."""
    return min(polarities, key=POLARITIES.index)


def merge_mentions(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    """Merge mentions of one name, by `strongest`, in the order of their first occurrence."""
    by_name: dict[str, list[Mention]] = {}
    for mention in mentions:
        by_name.setdefault(mention.name, []).append(mention)
    return tuple(
        Mention(name, strongest(m.polarity for m in group), tuple(sorted({span for m in group for span in m.spans})))
        for name, group in by_name.items()
    )
