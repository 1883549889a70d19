"""What an extractor is, and which there are."""

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
    """What was read in some texts.

    Args:
        mentions: For each text its mentions, or None where it could not be read.
        problems: Why, by the index of the text; never with words of it.
        counters: What it took: requests, tokens and so on.
    """

    mentions: Sequence[tuple[Mention, ...] | None]
    problems: Mapping[int, str] = field(default_factory=dict)
    counters: Mapping[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """An extractor of entities."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What made the mentions: name, version, model, host; no secret and no text of a report."""

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Find the entities of each cleaned text.

        Args:
            texts: Unique.
            watch: Called with the stage, texts done and in all.
        """

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Say which names mean the same entity, and which entity is a kind of which.

        Args:
            counts: Names as `read` gave them, with the number of records that mention each.
            watch: As in `read`.
        """


def find_backend(name: str) -> Callable[..., Backend]:
    """Return the class of a backend.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", f"one of {', '.join(BACKENDS)}", did_you_mean(name, BACKENDS))
    module, _, attribute = BACKENDS[name].partition(":")
    return getattr(import_module(module), attribute)
