"""The interface of extractors of entities, and how one is made from its entry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ecgkit.config import override
from ecgkit.entries import KnowledgeBackendEntry, load_target
from ecgkit.errors import ConfigError
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.vocabulary import Vocabulary
from ecgkit.plugins import host

Watch = Callable[[str, int, int], None]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Cost:
    """Estimate of what reading some texts takes.

    Args:
        requests: Number of requests for texts that are not yet answered.
        prompt_tokens: Tokens to send.
        answer_tokens: Tokens to receive.
        seconds: Time; None if nothing was measured yet.
        measured: Number of answers that the estimate was measured on; 0 for a rough guess.
    """

    requests: int
    prompt_tokens: int
    answer_tokens: int
    seconds: float | None = None
    measured: int = 0


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


@runtime_checkable
class Costly(Protocol):
    """A backend whose reading costs money or much time."""

    def estimate(self, texts: Sequence[str]) -> Cost:
        """Return what reading these texts would take; texts that are answered already cost nothing."""


@runtime_checkable
class LocalReader(Protocol):
    """A backend that reads each text by itself, by computing. Any worker may read any part of the texts.

    It is pickled for workers in other processes.
    """

    def read_texts(self, texts: Sequence[str]) -> list[tuple[Mention, ...]]:
        """Return the mentions of each cleaned text."""


@runtime_checkable
class AsksServers(Protocol):
    """A backend that asks one or several servers."""

    @property
    def lost_servers(self) -> Mapping[str, str]:
        """Why a server was left out while the others went on, by its URL."""


def make_backend(
    name: str, folder: Path, *, settings: Any = None, assignments: Sequence[str] = (), notify: Notify = lambda _: None
) -> Backend:
    """Make a backend.

    Args:
        name: Name of its entry.
        folder: Folder of the reports, where the backend may keep answers.
        settings: Its settings; None for their defaults.
        assignments: Changes of the settings, such as ``depth=4``.
        notify: Called with what a person should know while it works.

    Raises:
        ConfigError: A setting is unknown or impossible.
        PluginError: There is no backend of this name, or it cannot be loaded.
    """
    entry = host().get(KnowledgeBackendEntry, name)
    if not entry.settings:
        if assignments:
            raise ConfigError(f"--set {assignments[0]} does not apply: backend {name} has no settings")
        return entry.load()()
    if settings is None:
        settings = load_target(entry.settings, f"the settings of {name}")()
    return entry.load()(override(settings, assignments) if assignments else settings, folder, notify)
