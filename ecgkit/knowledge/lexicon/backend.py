"""The lexicon as a backend: rules only, no server, no cache."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import ecgkit
from ecgkit.knowledge.backends import Readings, Watch
from ecgkit.knowledge.lexicon.attributes import Attributes
from ecgkit.knowledge.lexicon.scope import find_entities, read_cues
from ecgkit.knowledge.lexicon.terms import fold, load_cues, load_lexicon
from ecgkit.knowledge.mentions import Mention, merge_mentions, polarity_of
from ecgkit.knowledge.vocabulary import Vocabulary


@cache
def _of_process(kind: "type[LexiconBackend]") -> "LexiconBackend":
    """Return the lexicon of a worker, which loads it once and not with every part that it is handed."""
    return kind()


class LexiconBackend:
    """Finds the entities of ``entities.yaml`` by their terms."""

    def __init__(self) -> None:
        self._lexicon = load_lexicon()
        self._cues = load_cues()

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_process, (type(self),)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The lexicon's version."""
        return {"backend": "lexicon", "lexicon_version": self._lexicon.version, "ecgkit": ecgkit.__version__}

    def read_text(self, text: str) -> tuple[Mention, ...]:
        """Return the mentions of one cleaned text, each entity once."""
        folded, cues = fold(text), self._cues
        matches = find_entities(folded, self._lexicon)
        attributes = Attributes(folded, text, matches, cues)
        return merge_mentions(
            Mention(
                matches[i].entity,
                polarity_of(said.certainty),
                ((matches[i].start, matches[i].stop),),
                said.certainty,
                attributes.severity(i),
                attributes.location(i),
                "resolved" if said.resolved else attributes.change(i),
            )
            for i, said in sorted(read_cues(folded, matches, cues).items())
        )

    def read_texts(self, texts: Sequence[str]) -> list[tuple[Mention, ...]]:
        """Read some texts, one after another; see `ecgkit.knowledge.backends.LocalReader`."""
        return [self.read_text(text) for text in texts]

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Read texts in this process; see `Backend`."""
        found = self.read_texts(texts)
        watch("extract", len(texts), len(texts))
        return Readings(found)

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Return the lexicon's own entities and parents."""
        return self._lexicon.vocabulary
