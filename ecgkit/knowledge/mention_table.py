"""The table of mentions that is kept with the labels: what was read in which text, by the hash of the text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ecgkit.knowledge.backends import Readings
from ecgkit.knowledge.labels import MENTIONS, UNREAD
from ecgkit.knowledge.mentions import ATTRIBUTES, Mention
from ecgkit.knowledge.statements import Corpus, text_hash
from ecgkit.parquet import read_frame


def mention_table(
    texts: Sequence[str], mentions: Sequence[tuple[Mention, ...] | None], entity_of: Mapping[str, str]
) -> pd.DataFrame:
    """Return one row per unique text and name; `ecgkit.knowledge.labels` lists the columns.

    Args:
        texts: The unique texts, of which only the hash is kept.
        mentions: The mentions of each text; None for a text that could not be read.
        entity_of: Entity by name.
    """
    rows = [
        {
            "text": text_hash(texts[i]),
            "name": m.name,
            "entity": entity_of.get(m.name, ""),
            "polarity": m.polarity,
            "spans": [list(span) for span in m.spans],
            **{attribute: getattr(m, attribute) for attribute in ATTRIBUTES},
        }
        for i, found in enumerate(mentions)
        for m in found or ()
    ]
    return pd.DataFrame(rows, columns=["text", "name", "entity", "polarity", "spans", *ATTRIBUTES])


def read_mentions(path: Path) -> dict[str, tuple[Mention, ...]]:
    """Return the mentions of a table of mentions, by the hash of the text.

    Args:
        path: The table, or the folder of the labels that it belongs to.
    """
    table = read_frame(path / MENTIONS if path.is_dir() else path)
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
