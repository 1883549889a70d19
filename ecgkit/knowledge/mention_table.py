"""The table of mentions that is kept with the labels: what was read in which text, by the hash of the text."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ecgkit.knowledge.backends import Readings
from ecgkit.knowledge.labels import MENTIONS, UNREAD
from ecgkit.knowledge.mentions import ATTRIBUTES, Mention
from ecgkit.knowledge.statements import Corpus, text_hash
from ecgkit.knowledge.vocabulary import Vocabulary
from ecgkit.parquet import read_frame


def mention_table(
    corpus: Corpus, mentions: Sequence[tuple[Mention, ...] | None], vocabulary: Vocabulary
) -> pd.DataFrame:
    """Return one row per unique text and name; `ecgkit.knowledge.labels` lists the columns."""
    rows = [
        {
            "text": text_hash(corpus.texts[i]),
            "name": m.name,
            "entity": vocabulary.entity_of.get(m.name, ""),
            "polarity": m.polarity,
            "spans": [list(span) for span in m.spans],
            **{attribute: getattr(m, attribute) for attribute in ATTRIBUTES},
        }
        for i, found in enumerate(mentions)
        for m in found or ()
    ]
    return pd.DataFrame(rows, columns=["text", "name", "entity", "polarity", "spans", *ATTRIBUTES])


def read_mentions(path: Path) -> dict[str, tuple[Mention, ...]]:
    """Return the mentions that an extraction found, by the hash of the text.

    Args:
        path: Folder of its labels.
    """
    table = read_frame(path / MENTIONS)
    by_text: dict[str, list[Mention]] = {}
    known = [attribute for attribute in ATTRIBUTES if attribute in table]  # tables of earlier versions have none
    columns = (table[column].tolist() for column in ("text", "name", "polarity", "spans", *known))
    for text, name, polarity, spans, *values in zip(*columns, strict=True):
        where = tuple((int(start), int(stop)) for start, stop in spans)
        attributes = dict(zip(known, values, strict=True))
        by_text.setdefault(text, []).append(Mention(name, polarity, where, **attributes))
    return {text: tuple(found) for text, found in by_text.items()}


def read_readings(path: Path, corpus: Corpus) -> Readings:
    """Return the readings of an earlier extraction for these texts."""
    by_text = read_mentions(path)
    table = read_frame(path / UNREAD)
    unread = dict(zip(table["text"], table["reason"], strict=True))
    hashes = [text_hash(text) for text in corpus.texts]
    return Readings(
        [None if h in unread else tuple(by_text.get(h, ())) for h in hashes],
        {i: unread[h] for i, h in enumerate(hashes) if h in unread},
    )
