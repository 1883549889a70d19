"""Which entities of a statement are denied or doubted, and how surely: scopes of cues, after NegEx.

Chapman et al., A Simple Algorithm for Identifying Negated Findings and Diseases in Discharge Summaries, J. Biomed.
Inform. 34(5):301-310 (2001): a cue acts on what stands within a few words before or after it. Here a cue acts on the
nearest entity within `REACH` words and on those that are joined to it, and no further than a stop word, since German
machine reports set findings one after another without any punctuation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecgkit.knowledge.lexicon.terms import Cues, Lexicon
from ecgkit.knowledge.mentions import Certainty
from ecgkit.knowledge.statements import ends_sentence

REACH = 5  # words between a cue and the first entity that it acts on
REACH_BACK = 2
REACH_JOINED = 3  # words between entities that are joined
_STOP = re.compile(r"\.(?=\s|$)")


@dataclass(frozen=True)
class Match:
    """A term in a text: ``text[start:stop]``. Its `kind` is the topmost parent of its entity."""

    entity: str
    start: int
    stop: int
    kind: str
    aspect: bool = False


@dataclass(frozen=True)
class Reading:
    """What the cues say of one match; `resolved` is an entity that was there before and no longer is."""

    certainty: Certainty
    resolved: bool = False


def find_entities(text: str, lexicon: Lexicon) -> list[Match]:
    """Return the terms of a text in order.

    What a longer term of another entity covers is left out. An aspect, such as the age of an infarct, covers only what
    it is a kind of, and is not covered.
    """
    found = [Match(e.name, *m.span(), e.kind, e.aspect) for e in lexicon.likely(text) for m in e.pattern.finditer(text)]
    if len(found) < 2:
        return found

    def covered(match: Match) -> bool:
        length = match.stop - match.start
        return any(
            o.start <= match.start
            and match.stop <= o.stop
            and o.stop - o.start > length
            and (o.aspect == match.aspect or o.kind == match.entity)
            for o in found
        )

    return sorted((m for m in found if not covered(m)), key=lambda m: (m.start, m.stop))


def read_cues(text: str, matches: Sequence[Match], cues: Cues) -> Mapping[int, Reading]:
    """Return what a text says of each match, by its index. Matches that the text only mentions are left out.

    Args:
        text: A cleaned statement, folded by `ecgkit.knowledge.lexicon.terms.fold`.
        matches: As `find_entities` gives them.
        cues: See ``cues.yaml``.
    """
    # A cue that belongs to a neutral phrase or to a term is none: "keine p-welle erkannt", "fehlende r-progression".
    open_text = _blank(text, [m.span() for m in cues.neutral.found(text)])
    inner = _blank(open_text, [(m.start, m.stop) for m in matches])
    said: dict[int, Reading] = {i: _inside(text[m.start : m.stop], cues) for i, m in enumerate(matches)}
    # Words of doubt may hold one that denies ("cannot be excluded", "nicht auszuschliessen"): they are read first.
    doubts = [list(cues.doubt_before.finditer(inner)), cues.doubt_after.found(inner)]
    for index, grade in _Scope(inner, matches, cues).reached(*doubts).items():
        said[index] = Reading(grade)  # type: ignore[arg-type]  # the groups are named after the certainties
    inner = _blank(inner, [m.span() for found in doubts for m in found])
    denials = [list(cues.denial_before.finditer(inner)), cues.denial_after.found(inner)]
    for index, kind in _Scope(inner, matches, cues).reached(*denials).items():
        said[index] = Reading("denied", kind == "resolved")
    for index in _Scope(inner, matches, cues).reached(cues.unsaid.found(inner), []):
        said.pop(index, None)
    return said


def _inside(term: str, cues: Cues) -> Reading:
    """Return what the gap of a term says, as in "PR interval is not prolonged" or "rhythm is probably junctional"."""
    if " " in term:
        if denial := cues.denied_inside.search(term):
            return Reading("denied", denial.lastgroup == "resolved")
        if doubt := cues.doubt_before.search(term):
            return Reading(doubt.lastgroup)  # type: ignore[arg-type]  # the groups are named after the certainties
    return Reading("certain")


@dataclass(frozen=True)
class _Scope:
    text: str  # entities and neutral phrases blanked
    matches: Sequence[Match]
    cues: Cues

    def reached(self, before: Sequence[re.Match[str]], after: Sequence[re.Match[str]]) -> dict[int, str]:
        """Return the matches in the scope of any cue, with the group of the cue that reached them.

        A cue right behind an entity looks back rather than ahead.
        """
        found: dict[int, str] = {}
        looks_back: list[tuple[int, int]] = []
        for cue in after:
            if (nearest := self._nearest_before(cue.start())) is not None:
                found |= dict.fromkeys(self._joined(nearest, -1), cue.lastgroup or "")
                looks_back.append(cue.span())
        for cue in before:
            if any(start < cue.end() and cue.start() < stop for start, stop in looks_back):
                continue
            if (nearest := self._nearest_after(cue.end())) is not None:
                found |= dict.fromkeys(self._listed(nearest), cue.lastgroup or "")
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
        start = self.matches[begun[0]].start
        between = self.text[position:start]
        stopped = self.cues.stops.search(between) or any(
            ends_sentence(self.text, stop.start()) for stop in _STOP.finditer(self.text, position, start)
        )
        return begun[0] if len(between.split()) <= REACH and not stopped else None

    def _listed(self, index: int) -> set[int]:
        """Return a match, those joined to it, and what goes on without a word: "probably A or B C or D".

        A list goes on only with an entity of a kind that it holds already.
        """
        found = self._joined(index, +1)
        while len(found) > 1:
            last = max(found)
            kinds = {self.matches[i].kind for i in found}
            if last + 1 == len(self.matches) or self.matches[last + 1].kind not in kinds:
                break
            if self.text[self.matches[last].stop : self.matches[last + 1].start].strip():
                break
            found |= self._joined(last + 1, +1)
        return found

    def _joined(self, index: int, step: int) -> set[int]:
        """Return a match with those that are joined to it in one direction, and those that lie at the same place."""
        joins = self.cues.joins if step > 0 else self.cues.joins_back
        found = {index}
        while 0 <= index + step < len(self.matches):
            near, far = sorted((self.matches[index], self.matches[index + step]), key=lambda m: m.start)
            between = self.text[near.stop : far.start]
            joined = far.start < near.stop or (
                len(between.split()) <= REACH_JOINED and joins.search(between) and not self.cues.stops.search(between)
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
