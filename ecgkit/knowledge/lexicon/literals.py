"""Words of which every match of a pattern contains one, so that most patterns need not be tried on a text.

The words are read off the parsed pattern of Python's ``re``. Where its form is not known, nothing is claimed, and the
pattern is tried on every text.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_PARSER: Any = getattr(re, "_parser", None)
Words = frozenset[str]


@dataclass(frozen=True)
class Sieve:
    """A pattern that is tried only on texts that contain a word it needs. The result is that of the pattern alone."""

    pattern: re.Pattern[str]

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return tuple(sorted(needed_words(self.pattern)))

    def found(self, text: str) -> list[re.Match[str]]:
        """Return all matches in a text, in order."""
        for word in self._words or ("",):
            if word in text:
                return list(self.pattern.finditer(text))
        return []


def needed_words(pattern: re.Pattern[str]) -> Words:
    """Return strings of which every text that matches contains at least one; empty if that is not known."""
    return _of_sequence(_PARSER.parse(pattern.pattern, pattern.flags)) if _PARSER else frozenset()


def _of_sequence(nodes: Iterable[tuple[Any, Any]]) -> Words:
    """Return the best words of the parts that stand one behind another, each of which must match."""
    found: list[Words] = []
    run = ""
    for code, value in nodes:
        if str(code) == "LITERAL":
            run += chr(value)
            continue
        found += [frozenset([run])] if run else []
        run = ""
        found.append(_of_node(str(code), value))
    found += [frozenset([run])] if run else []
    return max(found, key=_worth, default=frozenset())


def _of_node(code: str, value: Any) -> Words:
    if code == "SUBPATTERN":
        return _of_sequence(value[3])
    if code in ("MAX_REPEAT", "MIN_REPEAT") and value[0] > 0:
        return _of_sequence(value[2])
    if code == "BRANCH":
        return _of_choice([_of_sequence(branch) for branch in value[1]])
    return frozenset()


def _of_choice(branches: Sequence[Words]) -> Words:
    return frozenset().union(*branches) if all(branches) else frozenset()


def _worth(words: Words) -> tuple[int, int]:
    return min(map(len, words), default=0), -len(words)
