"""What a statement says of a finding besides whether it is there: severity, location, change over time.

A word belongs to a finding if it stands in the finding's own words or close to them, and closer than any other finding:
up to `REACH` words before it, or right behind it with a verb between ("ST depression is marked").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast

from ecgkit.knowledge.lexicon.scope import Match
from ecgkit.knowledge.lexicon.terms import Cues
from ecgkit.knowledge.mentions import Change, Severity

REACH = 2
LONGEST_LOCATION = 60  # characters
_VERB = re.compile(r"\s*(?:(?:is|are|was|were|has|have|ist|sind|hat|ar)\s+)?")


@dataclass(frozen=True)
class Attributes:
    """Reads the attributes of the matches of one statement.

    Args:
        text: The statement, folded.
        original: The statement as it is, with the same places.
        matches: Its terms, in order.
        cues: See ``cues.yaml``.
    """

    text: str
    original: str
    matches: Sequence[Match]
    cues: Cues

    @cached_property
    def _severe(self) -> bool:
        return bool(self.cues.severity.found(self.text))

    @cached_property
    def _changed(self) -> bool:
        return bool(self.cues.change.found(self.text))

    def severity(self, index: int) -> Severity | Literal[""]:
        """Return the severity of a match, or nothing; see `ecgkit.knowledge.mentions.Mention`."""
        found = self._grade(index, self.cues.severity.pattern) if self._severe else ""
        return cast("Severity | Literal['']", found)  # quoted: building the type takes longer than the search

    def change(self, index: int) -> Change | Literal[""]:
        """Return how a match changed since an earlier ECG, or nothing."""
        found = self._grade(index, self.cues.change.pattern) if self._changed else ""
        return cast("Change | Literal['']", found)

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return [m.span() for m in self.cues.location.found(self.text)]

    def location(self, index: int) -> str:
        """Return where a match is seen, leads or a wall, as the original writes it; or nothing."""
        match = self.matches[index]
        if behind := self.cues.location_behind.match(self.text, match.stop):
            return self._written(*behind.span(1))
        for start, stop in self._places:
            if match.start <= start and stop <= match.stop:
                return self._written(start, stop)
        if index + 1 < len(self.matches):
            between = self.text[match.stop : self.matches[index + 1].start]
            if self.cues.joins_back.search(between):
                return self.location(index + 1)
        begin = self._begin(index) if self._places else 0
        return next((self._written(a, b) for a, b in self._places if begin <= a and b <= match.start), "")

    def _written(self, start: int, stop: int) -> str:
        return " ".join(self.original[start:stop].split()).strip(" ,;-")[:LONGEST_LOCATION]

    def _grade(self, index: int, grades: re.Pattern[str]) -> str:
        match = self.matches[index]
        found = grades.search(self.text, self._begin(index), match.stop)
        if not found:
            verb = _VERB.match(self.text, match.stop)
            found = grades.match(self.text, verb.end() if verb else match.stop)
        return (found.lastgroup or "") if found else ""

    def _begin(self, index: int) -> int:
        """Return where the words before a match begin that belong to it."""
        start = self.matches[index].start
        earliest = max((m.stop for m in self.matches[:index] if m.stop <= start), default=0)
        words = self.text[earliest:start].split()[-REACH:]
        return self.text.index(words[0], earliest) if words else start
