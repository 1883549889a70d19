"""The interface of extractors, and the list of those that exist."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol

from ecgkit.errors import ConfigError, did_you_mean
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.vocabulary import Vocabulary

Watch = Callable[[str, int, int], None]

BACKENDS = {
    "lexicon": "ecgkit.knowledge.lexicon.backend:LexiconBackend",
    "openai": "ecgkit.knowledge.endpoint.backend:OpenAIBackend",
}


@dataclass(frozen=True)
class Readings:
    """Result of reading some texts.

    Args:
        mentions: The mentions of each text; None for a text that could not be read.
        problems: Reason why a text could not be read, by the index of the text; it never quotes the text.
        counters: Cost of the reading: requests, tokens and so on.
    """

    mentions: Sequence[tuple[Mention, ...] | None]
    problems: Mapping[int, str] = field(default_factory=dict)
    counters: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """An extractor of entities from texts."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How the mentions are made: name, version, model, host. No secret and no text of a report."""

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Find the entities of each cleaned text.

        Args:
            texts: Cleaned texts, each unique.
            watch: Called with the stage, texts done and texts in total.
        """

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Map synonyms to one entity, and subtypes to their parents.

        Args:
            counts: Number of records that mention each name, by the names that `read` returned.
            watch: See `read`.
        """


def find_backend(name: str) -> Callable[..., Backend]:
    """Return the class of a backend.

    Raises:
        ConfigError: There is no backend of this name.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", f"one of {', '.join(BACKENDS)}", did_you_mean(name, BACKENDS))
    module, _, attribute = BACKENDS[name].partition(":")
    return getattr(import_module(module), attribute)
