"""From mentions in texts to the label matrix of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import DatasetError
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.statements import Corpus
from ecgkit.knowledge.vocabulary import Vocabulary

if TYPE_CHECKING:
    from scipy import sparse

MOST_NEEDED = 50  # records, for a large corpus


@dataclass(frozen=True)
class Labelled:
    """The label matrix.

    Args:
        names: Entities that are kept, ``[Q]``, the most frequent first.
        values: Label matrix, uint8 ``[R, Q]``.
        rare: Number of records per entity that is present in too few records to be kept.
    """

    names: tuple[str, ...]
    values: NDArray[np.uint8]
    rare: Mapping[str, int]


def default_min_count(reports: int) -> int:
    """Return in how many records an entity must be present, for a corpus of this size.

    It is a fifth of the square root of the number of reports, from 1 to 50: 4 for 500 reports, 15 for 6,000, and 50
    from 62,500 on. The choice is ours.
    """
    return int(min(MOST_NEEDED, max(1, round(reports**0.5 / 5))))


def name_counts(corpus: Corpus, mentions: Sequence[tuple[Mention, ...] | None]) -> dict[str, int]:
    """Count the records that mention each name as present or uncertain."""
    names: dict[str, list[int]] = {}
    for text, found in enumerate(mentions):
        for mention in found or ():
            if mention.polarity != "absent":
                names.setdefault(mention.name, []).append(text)
    matrix = _records_by_text(corpus)
    columns = _indicator(list(names.values()), len(corpus.texts))
    counts = np.asarray(((matrix @ columns) > 0).sum(0)).ravel()
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def label_matrix(
    corpus: Corpus,
    mentions: Sequence[tuple[Mention, ...] | None],
    vocabulary: Vocabulary,
    *,
    min_count: int,
    max_entities: int | None,
    keep_children: bool,
) -> Labelled:
    """Return the entities that are kept, and what the texts of each record say of them.

    Args:
        corpus: Unique texts and the records that contain them.
        mentions: Mentions of each text; None for a text that was not read.
        vocabulary: Names, entities and parents.
        min_count: Number of records in which an entity must be present to be kept.
        max_entities: Most entities to keep.
        keep_children: Whether a subtype keeps its own column beside that of its parent.

    Raises:
        DatasetError: No entity is frequent enough.
    """
    saying: dict[str, dict[str, list[int]]] = {polarity: {} for polarity in ("present", "uncertain")}
    for text, found in enumerate(mentions):
        for mention in found or ():
            for entity in _columns(mention, vocabulary, keep_children):
                saying[mention.polarity].setdefault(entity, []).append(text)
    every = sorted({entity for texts in saying.values() for entity in texts})
    matrix = _records_by_text(corpus)
    present, uncertain = (
        (matrix @ _indicator([saying[polarity].get(entity, []) for entity in every], len(corpus.texts))).toarray() > 0
        for polarity in ("present", "uncertain")
    )
    counts = present.sum(0)
    order = sorted(range(len(every)), key=lambda i: (-counts[i], every[i]))
    frequent = [i for i in order if counts[i] >= min_count]
    if not frequent:
        most = int(counts.max()) if len(counts) else 0
        raise DatasetError(
            f"no entity is present in {min_count} records (the most frequent is in {most})",
            remedy="Lower --min-count.",
        )
    kept = frequent[:max_entities]
    values = np.where(uncertain, UNCERTAIN, 0).astype(np.uint8)
    values[present] = PRESENT
    rare = {every[i]: int(counts[i]) for i in order if 0 < counts[i] < min_count}
    return Labelled(tuple(every[i] for i in kept), np.ascontiguousarray(values[:, kept]), rare)


def _columns(mention: Mention, vocabulary: Vocabulary, keep_children: bool) -> tuple[str, ...]:
    """Return the entities whose columns a mention sets. An absent subtype does not make its parent absent."""
    entity = vocabulary.entity_of.get(mention.name)
    if entity is None or mention.polarity == "absent":
        return ()
    lineage = (entity, *vocabulary.ancestors(entity))
    return lineage if keep_children else lineage[-1:]


def _records_by_text(corpus: Corpus) -> "sparse.csr_array":
    """Return a matrix ``[R, U]`` with a one where a record contains a text."""
    from scipy import sparse  # slow to import

    starts = np.cumsum([0, *map(len, corpus.records)])
    columns = np.fromiter((i for record in corpus.records for i in record), np.int64, starts[-1])
    shape = (len(corpus.records), len(corpus.texts))
    return sparse.csr_array((np.ones(len(columns), np.int32), columns, starts), shape=shape)


def _indicator(columns: Sequence[Sequence[int]], rows: int) -> "sparse.csc_array":
    """Return a matrix ``[rows, len(columns)]`` with a one at each row index that a column lists."""
    from scipy import sparse  # slow to import

    starts = np.cumsum([0, *map(len, columns)])
    indices = np.fromiter((i for column in columns for i in column), np.int64, starts[-1])
    return sparse.csc_array((np.ones(len(indices), np.int32), indices, starts), shape=(rows, len(columns)))
