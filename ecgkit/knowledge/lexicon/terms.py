"""The lexicon's terms as patterns; how a term is written is told at the head of ``entities.yaml``.

Terms come from files of this package or of the user, never from a report.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from ecgkit.config import read_yaml
from ecgkit.errors import ConfigError
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary

HERE = Path(__file__).parent
LANGUAGES = ("en", "de", "sv")
_BETWEEN = r"[\s/-]*"
_GAP = r"(?:[\s,/-]+[^\s,;]+){0,3}?[\s,/-]+"


@dataclass(frozen=True)
class Entity:
    """One entry of the lexicon.

    Args:
        name: Its canonical name.
        pattern: Any of its terms.
        parent: What it is a kind of, or nothing.
        scp: SCP-ECG statements of the same meaning.
    """

    name: str
    pattern: re.Pattern[str]
    parent: str
    scp: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """All entries, and a version for provenance."""

    entities: Mapping[str, Entity]
    version: str

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
    """Patterns of the words around an entity; see ``cues.yaml``."""

    neutral: re.Pattern[str]
    negation_before: re.Pattern[str]
    negation_after: re.Pattern[str]
    uncertainty_before: re.Pattern[str]
    uncertainty_after: re.Pattern[str]
    stops: re.Pattern[str]
    joins: re.Pattern[str]


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
        patterns.append(text)
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
    entities = {name: _entity(name, body, values["sets"]) for name, body in values["entities"].items()}
    return Lexicon(entities, str(values["version"]))


def _entity(name: str, body: Mapping[str, Any], sets: Mapping[str, str]) -> Entity:
    terms = [term for language in LANGUAGES for term in body.get(language, ())]
    pattern = compile_terms([*terms, re.escape(name).replace(r"\ ", " ")], sets)
    return Entity(name, pattern, body.get("parent", ""), tuple(body.get("scp", ())))


@cache
def load_cues() -> Cues:
    """Load the package's cues."""
    values = read_yaml(HERE / "cues.yaml")
    return Cues(
        compile_terms(values["neutral"]),
        compile_terms(values["negation"]["before"]),
        compile_terms(values["negation"]["after"]),
        compile_terms(values["uncertainty"]["before"]),
        _edgeless(values["uncertainty"]["after"]),
        compile_terms(values["stops"]),
        _edgeless(values["joins"]),
    )


def _edgeless(terms: Iterable[str]) -> re.Pattern[str]:
    """Return the pattern of words and of signs, which have no word's edge."""
    words = [term for term in terms if re.search(r"\w\w", term)]
    signs = [term for term in terms if term not in words]
    return re.compile(f"{compile_terms(words).pattern}|{'|'.join(signs)}")
