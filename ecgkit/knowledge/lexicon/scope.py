"""Which entities of a statement are denied or doubted: scopes of cues, after NegEx.

Chapman et al., A Simple Algorithm for Identifying Negated Findings and Diseases in Discharge Summaries, J. Biomed.
Inform. 34(5):301-310 (2001): a cue acts on what stands within a few words before or after it. Here a cue acts on the
nearest entity within `REACH` words and on those that are joined to it, and no further than a stop word, since German
machine reports set findings one after another without any punctuation.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ecgkit.knowledge.lexicon.terms import Cues, Entity
from ecgkit.knowledge.mentions import Mention, Polarity

REACH = 5  # words between a cue and the first entity that it acts on
REACH_BACK = 2
REACH_JOINED = 3  # words between entities that are joined


@dataclass(frozen=True)
class Match:
    """A term in a text: ``text[start:stop]``."""

    entity: str
    start: int
    stop: int


def find_entities(text: str, entities: Sequence[Entity]) -> list[Match]:
    """Return the terms of a text in order; what a longer term of another entity covers is left out."""
    found = [Match(e.name, *m.span()) for e in entities for m in e.pattern.finditer(text)]

    def covered(match: Match) -> bool:
        length = match.stop - match.start
        return any(o.start <= match.start and match.stop <= o.stop and o.stop - o.start > length for o in found)

    return sorted((m for m in found if not covered(m)), key=lambda m: (m.start, m.stop))


def read_polarities(text: str, matches: Sequence[Match], cues: Cues) -> list[Mention]:
    """Return each match as a mention with its polarity.

    Args:
        text: A cleaned statement.
        matches: As `find_entities` gives them.
        cues: See ``cues.yaml``.
    """
    # A cue that belongs to a neutral phrase or to a term is none: "keine p-welle erkannt", "fehlende r-progression".
    open_text = _blank(text, [m.span() for m in cues.neutral.finditer(text)])
    inner = _blank(open_text, [(m.start, m.stop) for m in matches])
    # Words of doubt may hold one that denies ("cannot be excluded", "nicht auszuschliessen"): they are read first.
    doubts = [m.span() for cue in (cues.uncertainty_before, cues.uncertainty_after) for m in cue.finditer(inner)]
    doubted = _Scope(inner, matches, cues).reached(cues.uncertainty_before, cues.uncertainty_after)
    denied = _Scope(_blank(inner, doubts), matches, cues).reached(cues.negation_before, cues.negation_after)
    polarity: dict[int, Polarity] = dict.fromkeys(range(len(matches)), "present")
    polarity |= dict.fromkeys(doubted, "uncertain")
    polarity |= dict.fromkeys(denied, "absent")
    for index, match in enumerate(matches):
        if polarity[index] == "present" and _DENIED_INSIDE.search(open_text[match.start : match.stop]):
            polarity[index] = "absent"
    return [Mention(m.entity, polarity[i], ((m.start, m.stop),)) for i, m in enumerate(matches)]


# What the gap of a term may hold, as in "PR interval is not prolonged".
_DENIED_INSIDE = re.compile(r"(?<!\w)(?:is|are|was|were|ist|sind) (?:not|nicht)(?!\w)")


@dataclass(frozen=True)
class _Scope:
    text: str  # entities and neutral phrases blanked
    matches: Sequence[Match]
    cues: Cues

    def reached(self, before: re.Pattern[str], after: re.Pattern[str]) -> set[int]:
        """Return the matches in the scope of any cue; a cue right behind an entity looks back rather than ahead."""
        found: set[int] = set()
        back_ends = set()
        for cue in after.finditer(self.text):
            if (nearest := self._nearest_before(cue.start())) is not None:
                found |= self._joined(nearest, -1)
                back_ends.add(cue.start())
        for cue in before.finditer(self.text):
            if cue.start() not in back_ends and (nearest := self._nearest_after(cue.end())) is not None:
                found |= self._joined(nearest, +1)
        return found

    def _nearest_before(self, position: int) -> int | None:
        ended = [i for i, match in enumerate(self.matches) if match.stop <= position]
        if not ended:
            return None
        last = max(ended, key=lambda i: self.matches[i].stop)
        between = self.text[self.matches[last].stop : position]
        return last if len(between.split()) <= REACH_BACK and not re.search(r"[.,]", between) else None

    def _nearest_after(self, position: int) -> int | None:
        begun = [i for i, match in enumerate(self.matches) if match.start >= position]
        if not begun:
            return None
        between = self.text[position : self.matches[begun[0]].start]
        stopped = self.cues.stops.search(between) or "." in between
        return begun[0] if len(between.split()) <= REACH and not stopped else None

    def _joined(self, index: int, step: int) -> set[int]:
        """Return a match with those that are joined to it in one direction, and those that lie at the same place."""
        found = {index}
        while 0 <= index + step < len(self.matches):
            near, far = sorted((self.matches[index], self.matches[index + step]), key=lambda m: m.start)
            between = self.text[near.stop : far.start]
            joined = far.start < near.stop or (
                len(between.split()) <= REACH_JOINED
                and self.cues.joins.search(between)
                and not self.cues.stops.search(between)
            )
            if not joined:
                break
            index += step
            found.add(index)
        return found


def _blank(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text of the same length with these spans blanked."""
    for start, stop in spans:
        text = text[:start] + " " * (stop - start) + text[stop:]
    return text
