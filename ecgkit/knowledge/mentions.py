"""Mentions of entities in a text: a name, a polarity, and what else the text says of the finding."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal, get_args

Polarity = Literal["present", "uncertain", "absent"]
POLARITIES: tuple[Polarity, ...] = get_args(Polarity)  # if one report says several, the first of these wins

Certainty = Literal["certain", "probable", "possible", "unlikely", "denied"]
CERTAINTIES: tuple[Certainty, ...] = get_args(Certainty)  # from the surest to the least sure
Severity = Literal["minimal", "mild", "moderate", "severe"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
Change = Literal["new", "increased", "unchanged", "changed", "decreased", "resolved"]
CHANGES: tuple[Change, ...] = get_args(Change)

# A name is a short noun phrase. Models sometimes put longer texts under "name"; those are not names.
LONGEST_NAME, MOST_WORDS = 80, 10
_NAME = re.compile(r"[\w(][\w\s()/,.'+&:-]*")


@dataclass(frozen=True)
class Mention:
    """An entity as one text mentions it.

    Args:
        name: Normalised name, as the extractor returned it; the vocabulary maps it to an entity.
        polarity: Whether the text says that the entity is present, uncertain or absent.
        spans: Positions of the supporting quote in the cleaned text, ``(start, stop)`` in characters; empty if unknown.
        certainty: How sure the text is, one of `CERTAINTIES`: ``certain`` if present, ``denied`` if absent, and one of
            the three between if uncertain. One that is left out or contradicts the polarity follows from the polarity,
            with ``possible`` for uncertain.
        severity: One of `SEVERITIES`; empty if the text says none.
        location: Wall, chamber or leads, such as ``inferior`` or ``v1-v3``, in lower case; empty if the text says none.
        change: Comparison with an earlier ECG, one of `CHANGES`; empty if the text compares nothing. ``resolved`` is a
            finding that was there before and no longer is; its polarity is ``absent``.
    """

    name: str
    polarity: Polarity
    spans: tuple[tuple[int, int], ...] = ()
    certainty: Certainty | Literal[""] = ""
    severity: Severity | Literal[""] = ""
    location: str = ""
    change: Change | Literal[""] = ""

    def __post_init__(self) -> None:
        if not self.certainty or polarity_of(self.certainty) != self.polarity:
            object.__setattr__(self, "certainty", certainty_of(self.polarity))


ATTRIBUTES = tuple(field.name for field in fields(Mention) if field.name not in ("name", "polarity", "spans"))


def polarity_of(certainty: Certainty) -> Polarity:
    """Return the three-valued polarity of a graded certainty."""
    if certainty == "certain":
        return "present"
    return "absent" if certainty == "denied" else "uncertain"


def certainty_of(polarity: Polarity) -> Certainty:
    """Return the certainty that a polarity stands for if the text grades it no further."""
    grades: dict[Polarity, Certainty] = {"present": "certain", "uncertain": "possible", "absent": "denied"}
    return grades[polarity]


def normalise_name(name: str) -> str:
    """Return a name in lower case with single spaces; empty if it cannot be the name of a finding."""
    name = " ".join(name.lower().split()).strip(" .,;:-")
    fits = len(name) <= LONGEST_NAME and len(name.split()) <= MOST_WORDS and _NAME.fullmatch(name)
    return name if fits else ""


def strongest(polarities: Iterable[Polarity]) -> Polarity:
    """Return the polarity that wins over several of one entity: present, else uncertain, else absent."""
    return min(polarities, key=POLARITIES.index)


def merge_mentions(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    """Merge mentions of one name, in the order of their first occurrence.

    The polarity is the `strongest`, and the certainty the surest of that polarity. Of the other attributes, the first
    one that a mention of that polarity states is kept.
    """
    by_name: dict[str, list[Mention]] = {}
    for mention in mentions:
        by_name.setdefault(mention.name, []).append(mention)
    return tuple(group[0] if len(group) == 1 else _merged(name, group) for name, group in by_name.items())


def _merged(name: str, group: list[Mention]) -> Mention:
    polarity = strongest(m.polarity for m in group)
    deciding = [m for m in group if m.polarity == polarity]
    grades = [m.certainty for m in deciding if m.certainty]
    return Mention(
        name,
        polarity,
        tuple(sorted({span for m in group for span in m.spans})),
        min(grades, key=CERTAINTIES.index),
        next((m.severity for m in deciding if m.severity), ""),
        next((m.location for m in deciding if m.location), ""),
        next((m.change for m in deciding if m.change), ""),
    )
