"""The lexicon as a backend: rules only, no server, no cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import ecgkit
from ecgkit.knowledge.backends import Readings, Watch
from ecgkit.knowledge.lexicon.scope import find_entities, read_polarities
from ecgkit.knowledge.lexicon.terms import load_cues, load_lexicon
from ecgkit.knowledge.mentions import Mention, merge_mentions
from ecgkit.knowledge.vocabulary import Vocabulary

STEP = 500  # texts between two reports of progress


class LexiconBackend:
    """Finds the entities of ``entities.yaml`` by their terms."""

    def __init__(self) -> None:
        self._lexicon = load_lexicon()
        self._entities = tuple(self._lexicon.entities.values())
        self._cues = load_cues()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The lexicon's version."""
        return {"backend": "lexicon", "lexicon_version": self._lexicon.version, "ecgkit": ecgkit.__version__}

    def read_text(self, text: str) -> tuple[Mention, ...]:
        """Return the mentions of one cleaned text, each entity once."""
        return merge_mentions(read_polarities(text, find_entities(text, self._entities), self._cues))

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Read texts one after another; see `Backend`."""
        mentions = []
        for done, text in enumerate(texts, 1):
            mentions.append(self.read_text(text))
            if done % STEP == 0 or done == len(texts):
                watch("extract", done, len(texts))
        return Readings(mentions)

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Return the lexicon's own entities and parents."""
        return self._lexicon.vocabulary
