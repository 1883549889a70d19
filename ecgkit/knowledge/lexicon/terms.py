"""The lexicon's terms as patterns; how a term is written is told at the head of ``entities.yaml``.

Terms come from files of this package or of the user, never from a report.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from ecgkit.config import read_yaml
from ecgkit.errors import ConfigError
from ecgkit.knowledge.lexicon.literals import Sieve, needed_words
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary

HERE = Path(__file__).parent
LANGUAGES = ("en", "de", "sv")
_BETWEEN = r"[\s/-]*"
_FOLDED = str.maketrans("äöüåßéè", "aouasee")
# How a letter of a term may be written in a folded text: "ueberdreht", "uberdreht", and "#berdreht" in old exports.
_SPELLINGS = {"ä": "(?:ae?)", "ö": "(?:oe?)", "ü": "(?:ue?|#)", "å": "(?:aa?)", "ß": "(?:ss?)"}
_LEAD = r"(?:av[rlf]|v\d|i{1,3}(?!\w))"
# "v4-v6", "i, avl, v5,6", "leads ii and avf", "v1-3"
_LEADS = rf"(?:leads?\s+|ableitung(?:en)?\s+)?{_LEAD}(?:\s*(?:[,&/-]|\s(?:and|und|och|to|bis)\s)\s*(?:{_LEAD}|\d\b))*"
_IN = r"\s+(?:(?:in|over|uber|i)\s+)?(?:the\s+)?"
_GAP = r"(?:[\s,/-]+[^\s,;]+){0,3}?[\s,/-]+"


@dataclass(frozen=True)
class Entity:
    """One entry of the lexicon.

    Args:
        name: Its canonical name.
        pattern: Any of its terms.
        words: Strings of which every text with such a term contains one; empty if that is not known.
        parent: What it is a kind of, or nothing.
        kind: Its topmost parent, or itself.
        aspect: Whether it tells something about another entity in the same words, such as the age of an infarct.
    """

    name: str
    pattern: re.Pattern[str]
    words: tuple[str, ...]
    parent: str
    kind: str
    aspect: bool


@dataclass(frozen=True)
class Lexicon:
    """All entries, and a version for provenance."""

    entities: Mapping[str, Entity]
    version: str

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """The needed words of all entities, each once."""
        return tuple(sorted({word for entity in self.entities.values() for word in entity.words}))

    def likely(self, text: str) -> list[Entity]:
        """Return the entities that may stand in a folded text, since it contains one of the words that they need."""
        held = {word for word in self._words if word in text}
        return [e for e in self.entities.values() if not e.words or not held.isdisjoint(e.words)]

    @property
    def vocabulary(self) -> Vocabulary:
        """The entities and their parents; the extractor's names are canonical, so there are no synonyms."""
        return make_vocabulary(
            {name: name for name in self.entities},
            {name: entity.parent for name, entity in self.entities.items() if entity.parent},
            source="lexicon",
        )


@dataclass(frozen=True)
class Cues:
    """Patterns of the words around an entity; see ``cues.yaml``. The groups of a pattern are named after its grades."""

    neutral: Sieve
    unsaid: Sieve
    denial_before: re.Pattern[str]
    denial_after: Sieve
    doubt_before: re.Pattern[str]
    doubt_after: Sieve
    denied_inside: re.Pattern[str]
    stops: re.Pattern[str]
    joins: re.Pattern[str]
    joins_back: re.Pattern[str]
    severity: Sieve
    change: Sieve
    location: Sieve
    location_behind: re.Pattern[str]


def fold(text: str) -> str:
    """Return a text of the same length without the dots and rings of its vowels; terms are compared in this form."""
    return text.translate(_FOLDED)


def compile_terms(terms: Iterable[str], sets: Mapping[str, str] = {}) -> re.Pattern[str]:
    """Return the pattern of any of these terms, between the edges of words.

    Args:
        terms: As ``entities.yaml`` explains them.
        sets: Patterns that ``{name}`` stands for.

    Raises:
        ConfigError: A term cannot be understood.
    """
    patterns = []
    for term in terms:
        text = re.sub(r"\{([a-z]+)\}", partial(_set, sets), term)
        text = re.sub(r"(?<=[a-zäöüß])(?<!\\[a-z])\*", r"\\w*", text)  # after a letter, not after \w or a group
        text = re.sub(r"\s*~\s*", lambda _: _GAP, text)
        text = re.sub(r" (?![?*+])", lambda _: _BETWEEN, text)
        patterns.append("".join(_SPELLINGS.get(letter, letter) for letter in text))
    try:
        return re.compile(rf"(?<!\w)(?:{'|'.join(f'(?:{p})' for p in patterns)})(?!\w)")
    except re.error as error:
        raise ConfigError(
            f"lexicon terms {', '.join(terms)!r:.100} ({error})", "terms as entities.yaml explains"
        ) from None


def _set(sets: Mapping[str, str], name: re.Match[str]) -> str:
    if name[1] not in sets:
        raise ConfigError(f"a lexicon term names the set {name[1]!r}", f"one of {', '.join(sets)}")
    return f"(?:{sets[name[1]]})"


@cache
def load_lexicon() -> Lexicon:
    """Load the package's entities."""
    values = read_yaml(HERE / "entities.yaml")
    parents = {name: body.get("parent", "") for name, body in values["entities"].items()}
    entities = {name: _entity(name, body, values["sets"], parents) for name, body in values["entities"].items()}
    return Lexicon(entities, str(values["version"]))


def _entity(name: str, body: Mapping[str, Any], sets: Mapping[str, str], parents: Mapping[str, str]) -> Entity:
    kind = name
    while parents.get(kind):
        kind = parents[kind]
    terms = [term for language in LANGUAGES for term in body.get(language, ())]
    pattern = compile_terms([*terms, re.escape(name).replace(r"\ ", " ")], sets)
    return Entity(name, pattern, tuple(needed_words(pattern)), parents[name], kind, bool(body.get("aspect")))


@cache
def load_cues() -> Cues:
    """Load the package's cues."""
    values = read_yaml(HERE / "cues.yaml")
    denial, doubt = values["denial"], values["doubt"]
    return Cues(
        neutral=Sieve(compile_terms(values["neutral"])),
        unsaid=Sieve(compile_terms(values["unsaid"])),
        denial_before=_grouped({name: cues["before"] for name, cues in denial.items()}, "resolved"),
        denial_after=Sieve(_grouped({name: cues["after"] for name, cues in denial.items()}, "resolved")),
        doubt_before=_grouped({name: cues["before"] for name, cues in doubt.items()}),
        doubt_after=Sieve(_grouped({name: cues["after"] for name, cues in doubt.items()})),
        denied_inside=_grouped(values["denied_inside"]),
        stops=compile_terms(values["stops"]),
        joins=_edgeless([*values["joins"], *values["joins_ahead"]]),
        joins_back=_edgeless(values["joins"]),
        severity=Sieve(_grouped(values["severity"])),
        change=Sieve(_grouped(values["change"])),
        location=Sieve(location := compile_terms(values["location"])),
        location_behind=re.compile(rf"{_IN}({_LEADS}|{location.pattern})"),
    )


def _grouped(grades: Mapping[str, Iterable[str]], first: str = "") -> re.Pattern[str]:
    """Return the pattern of any of these terms, in groups named after the grades; `first` is tried first."""
    order = sorted(grades, key=lambda grade: grade != first)
    parts = (f"(?P<{grade}>{compile_terms(grades[grade]).pattern})" for grade in order)
    return re.compile("|".join(parts))


def _edgeless(terms: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of words and of signs, which have no word's edge."""
    words = [term for term in terms if re.search(r"\w\w", term)]
    signs = [term for term in terms if term not in words]
    return re.compile("|".join([compile_terms(words).pattern, *signs]))
