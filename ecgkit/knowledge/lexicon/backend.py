"""The lexicon as a backend: rules only, no server, no cache."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import ecgkit
from ecgkit.executor import fitting_workers, open_executor
from ecgkit.knowledge.backends import Readings, Watch
from ecgkit.knowledge.lexicon.attributes import Attributes
from ecgkit.knowledge.lexicon.scope import find_entities, read_cues
from ecgkit.knowledge.lexicon.terms import fold, load_cues, load_lexicon
from ecgkit.knowledge.mentions import Mention, merge_mentions, polarity_of
from ecgkit.knowledge.vocabulary import Vocabulary

STEP = 500  # texts between two reports of progress


Texts = tuple[int, Sequence[str]]  # some texts, after the place of the first among all
Found = tuple[int, list[tuple[Mention, ...]]]  # their mentions, after the same place


def read_texts(texts: Texts) -> Found:
    """Read some texts in a process of their own."""
    return _of_process().read_some(texts)


@cache
def _of_process() -> "LexiconBackend":
    return LexiconBackend()


class LexiconBackend:
    """Finds the entities of ``entities.yaml`` by their terms."""

    def __init__(self) -> None:
        self._lexicon = load_lexicon()
        self._cues = load_cues()

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

    def read_some(self, texts: Texts) -> Found:
        """Read some texts, one after another."""
        start, some = texts
        return start, [self.read_text(text) for text in some]

    def read(self, texts: Sequence[str], watch: Watch) -> Readings:
        """Read texts, in as many processes as pay; see `Backend`."""
        starts, workers = range(0, len(texts), STEP), fitting_workers(len(texts))
        found: dict[int, list[tuple[Mention, ...]]] = {}
        with open_executor(workers) as executor:
            calls = ((start, texts[start : start + STEP]) for start in starts)
            for start, mentions in executor.run(self.read_some if workers == 1 else read_texts, calls):
                found[start] = mentions
                watch("extract", sum(map(len, found.values())), len(texts))
        return Readings([mentions for start in starts for mentions in found[start]])

    def vocabulary(self, counts: Mapping[str, int], watch: Watch) -> Vocabulary:
        """Return the lexicon's own entities and parents."""
        return self._lexicon.vocabulary
