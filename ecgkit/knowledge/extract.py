"""Extract labels from reports. A stopped extraction continues where it was.

The steps follow K-MERL (arXiv 2502.17900): extract mentions, verify them, merge synonyms, fold subtypes into their
parents, and keep frequent entities. If one statement of a report calls a finding present, it is present, even if
another statement doubts or denies it.
"""

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from ecgkit.config import fingerprint
from ecgkit.errors import ConfigError, DatasetError, StoreError
from ecgkit.knowledge.backends import Backend, Readings, Watch
from ecgkit.knowledge.labels import (
    DEFAULT_NAME,
    KIND,
    MENTIONS,
    PRESENT,
    UNCERTAIN,
    UNREAD,
    Entities,
    read_labels,
    write_labels,
)
from ecgkit.knowledge.mentions import ATTRIBUTES, Mention
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.statements import Corpus, Unit, corpus_of, text_hash
from ecgkit.knowledge.vocabulary import Vocabulary, read_vocabulary
from ecgkit.parquet import read_frame
from ecgkit.unfinished import Unfinished


@dataclass(frozen=True)
class ExtractOptions:
    """Options that decide which labels are made.

    Args:
        unit: Unit that is read as one text: ``statement`` or ``report``.
        min_count: Number of records in which an entity must be present to be kept.
        max_entities: Keep at most this many entities, the most frequent ones.
        keep_children: Whether a subtype keeps its own column beside that of its parent. If not, it counts as its
            parent.
        vocabulary: File of maps to apply instead of those of the backend.
        name: Name of the extraction, since a store may have several.
        overwrite: Whether an earlier extraction of this name may be replaced.
    """

    unit: Unit = "statement"
    min_count: int = 50
    max_entities: int | None = None
    keep_children: bool = False
    vocabulary: Path | None = None
    name: str = DEFAULT_NAME
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.unit not in ("statement", "report"):
            raise ConfigError(f"unit {self.unit!r}", "statement or report")
        if self.min_count < 1 or (self.max_entities is not None and self.max_entities < 1):
            raise ConfigError(f"min_count {self.min_count}, max_entities {self.max_entities}", "1 or more")
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"name {self.name!r}", "letters, digits, - and _")


@dataclass(frozen=True)
class Summary:
    """Result of an extraction.

    Args:
        path: Folder of the labels.
        entities: The labels.
        records: Number of records.
        with_report: Number of records that have a report.
        texts: Number of unique texts that were read.
        saved: Number of texts that were not read because an equal text was.
        problems: Number of unread texts per reason.
        incomplete: Number of records whose report was not read completely.
        unknown: Number of records per name that the vocabulary lacks.
        counters: Counters of the backend, such as requests and tokens.
        audit: The files of the sheet to check by hand, if one was asked for.
    """

    path: Path
    entities: Entities
    records: int
    with_report: int
    texts: int
    saved: int
    problems: Mapping[str, int]
    incomplete: int
    unknown: Mapping[str, int]
    counters: Mapping[str, Any]
    audit: tuple[Path, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the counts and the entities as plain values."""
        entities = self.entities
        rows = zip(entities.names, entities.counts, entities.uncertain, strict=True)
        return {
            "records": self.records,
            "with_report": self.with_report,
            "texts": self.texts,
            "saved": self.saved,
            "incomplete": self.incomplete,
            "problems": dict(self.problems),
            "unknown": list(self.unknown),
            "counters": dict(self.counters),
            "labels": str(self.path),
            "entities": [
                {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name)}
                for name, p, u in rows
            ],
        }


def extract_knowledge(
    reports: Reports, backend: Backend, options: ExtractOptions = ExtractOptions(), watch: Watch = lambda *_: None
) -> Summary:
    """Extract entity labels from reports.

    If the work is stopped, the same call continues where it was; the answers of a model are stored one by one.

    Args:
        reports: Reports that `ecgkit.knowledge.reports.open_reports` returned.
        backend: Extractor that reads the texts.
        options: See `ExtractOptions`.
        watch: Called with the stage, units done and units in total.

    Raises:
        ConfigError: The vocabulary file cannot be read.
        DatasetError: No text could be read, or no entity is frequent enough.
        EndpointError: A model server failed permanently; the answers so far are kept.
        OutputError: Labels of this name exist, another process is making them, or they cannot be written.
    """
    vocabulary = read_vocabulary(options.vocabulary) if options.vocabulary else None
    with _in_progress(reports, options) as folder:
        corpus = corpus_of(reports.texts, options.unit)
        readings = backend.read(corpus.texts, watch)
        if corpus.texts and all(found is None for found in readings.mentions):
            reason, _ = Counter(readings.problems.values()).most_common(1)[0]
            raise DatasetError(f"none of {len(corpus.texts)} texts could be read ({reason})")
        vocabulary = vocabulary or backend.vocabulary(_name_counts(corpus, readings.mentions), watch)
        provenance = {**backend.provenance, "date": _today()}
        return _label_records(folder, reports, corpus, readings, vocabulary, provenance, options)


def relabel(reports: Reports, options: ExtractOptions) -> Summary:
    """Apply an edited vocabulary to an earlier extraction. No text is read again and no model is called.

    Args:
        reports: The reports that were read.
        options: Options with a `vocabulary`. The unit of the earlier extraction is kept; its labels are replaced.

    Raises:
        ConfigError: No vocabulary is given, or its file cannot be read.
        StoreError: There is no earlier extraction, or it belongs to other reports.
    """
    if options.vocabulary is None:
        raise ConfigError("no vocabulary to apply", remedy="Name its file with --vocabulary.")
    vocabulary = read_vocabulary(options.vocabulary)
    path = reports.folder / options.name
    before = read_labels(path)
    if before.content_hash != reports.content_hash:
        raise StoreError(f"{path} was made from other reports", remedy="Extract again, with --overwrite.")
    options = replace(options, unit=before.provenance["options"]["unit"], overwrite=True)
    corpus = corpus_of(reports.texts, options.unit)
    readings = _readings_of(path, corpus)
    kept = {k: v for k, v in before.provenance.items() if k not in ("options", "vocabulary")}
    with _in_progress(reports, options) as folder:
        provenance = {**kept, "relabelled": _today()}
        return _label_records(folder, reports, corpus, readings, vocabulary, provenance, options)


@contextmanager
def _in_progress(reports: Reports, options: ExtractOptions) -> Iterator[Path]:
    """Yield a folder for new labels, held by this process; it is moved into place when the block ends."""
    path = reports.folder / options.name
    unfinished = Unfinished(path, KIND, overwrite=options.overwrite, hidden=True)
    with unfinished.open():
        unfinished.begin(fingerprint(reports.content_hash, options))
        yield unfinished.made
        unfinished.finish()


def _label_records(
    folder: Path,
    reports: Reports,
    corpus: Corpus,
    readings: Readings,
    vocabulary: Vocabulary,
    provenance: Mapping[str, Any],
    options: ExtractOptions,
) -> Summary:
    """Write the labels that follow from the readings into a folder, and return a summary."""
    names, values = _label(corpus, readings.mentions, vocabulary, options)
    unread = np.array([found is None for found in readings.mentions], bool)
    complete = np.array([bool(record) and not unread[list(record)].any() for record in corpus.records], bool)
    entities = Entities(
        names,
        values,
        complete,
        reports.ids,
        vocabulary.parent_of,
        {
            **provenance,
            "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()},
        },
        reports.content_hash,
    )
    table = _mention_table(corpus, readings.mentions, vocabulary)
    problems = {text_hash(corpus.texts[i]): reason for i, reason in readings.problems.items()}
    unread_table = pd.DataFrame({"text": list(problems), "reason": list(problems.values())}, dtype=str)
    write_labels(folder, entities, table, unread_table, vocabulary)
    counts = _name_counts(corpus, readings.mentions)
    return Summary(
        path=reports.folder / options.name,
        entities=entities,
        records=len(reports),
        with_report=sum(map(bool, corpus.records)),
        texts=len(corpus.texts),
        saved=corpus.repeats,
        problems=Counter(problems.values()),
        incomplete=int(sum(map(bool, corpus.records)) - complete.sum()),
        unknown={n: c for n, c in counts.items() if n not in vocabulary.entity_of and n not in vocabulary.ignored},
        counters=readings.counters,
    )


def _name_counts(corpus: Corpus, mentions: Sequence[tuple[Mention, ...] | None]) -> dict[str, int]:
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


def _label(
    corpus: Corpus,
    mentions: Sequence[tuple[Mention, ...] | None],
    vocabulary: Vocabulary,
    options: ExtractOptions,
) -> tuple[tuple[str, ...], NDArray[np.uint8]]:
    """Return the entities that are kept, and the label matrix ``[R, Q]``."""
    saying: dict[str, dict[str, list[int]]] = {polarity: {} for polarity in ("present", "uncertain")}
    for text, found in enumerate(mentions):
        for mention in found or ():
            for entity in _columns(mention, vocabulary, options.keep_children):
                saying[mention.polarity].setdefault(entity, []).append(text)
    every = sorted({entity for texts in saying.values() for entity in texts})
    matrix = _records_by_text(corpus)
    present, uncertain = (
        (matrix @ _indicator([saying[polarity].get(entity, []) for entity in every], len(corpus.texts))).toarray() > 0
        for polarity in ("present", "uncertain")
    )
    counts = present.sum(0)
    kept = [
        i for i in sorted(range(len(every)), key=lambda i: (-counts[i], every[i])) if counts[i] >= options.min_count
    ]
    kept = kept[: options.max_entities]
    if not kept:
        most = int(counts.max()) if len(counts) else 0
        raise DatasetError(
            f"no entity is present in {options.min_count} records (the most frequent is in {most})",
            remedy="Lower --min-count.",
        )
    values = np.where(uncertain, UNCERTAIN, 0).astype(np.uint8)
    values[present] = PRESENT
    return tuple(every[i] for i in kept), np.ascontiguousarray(values[:, kept])


def _columns(mention: Mention, vocabulary: Vocabulary, keep_children: bool) -> tuple[str, ...]:
    """Return the entities whose columns a mention sets. An absent subtype does not make its parent absent."""
    entity = vocabulary.entity_of.get(mention.name)
    if entity is None or mention.polarity == "absent":
        return ()
    lineage = (entity, *vocabulary.ancestors(entity))
    return lineage if keep_children else lineage[-1:]


def _records_by_text(corpus: Corpus) -> sparse.csr_array:
    """Return a matrix ``[R, U]`` with a one where a record contains a text."""
    starts = np.cumsum([0, *map(len, corpus.records)])
    columns = np.fromiter((i for record in corpus.records for i in record), np.int64, starts[-1])
    shape = (len(corpus.records), len(corpus.texts))
    return sparse.csr_array((np.ones(len(columns), np.int32), columns, starts), shape=shape)


def _indicator(columns: Sequence[Sequence[int]], rows: int) -> sparse.csc_array:
    """Return a matrix ``[rows, len(columns)]`` with a one at each row index that a column lists."""
    starts = np.cumsum([0, *map(len, columns)])
    indices = np.fromiter((i for column in columns for i in column), np.int64, starts[-1])
    return sparse.csc_array((np.ones(len(indices), np.int32), indices, starts), shape=(rows, len(columns)))


def _mention_table(
    corpus: Corpus, mentions: Sequence[tuple[Mention, ...] | None], vocabulary: Vocabulary
) -> pd.DataFrame:
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


def _readings_of(path: Path, corpus: Corpus) -> Readings:
    """Return the readings of an earlier extraction for these texts."""
    by_text = read_mentions(path)
    table = read_frame(path / UNREAD)
    unread = dict(zip(table["text"], table["reason"], strict=True))
    hashes = [text_hash(text) for text in corpus.texts]
    return Readings(
        [None if h in unread else tuple(by_text.get(h, ())) for h in hashes],
        {i: unread[h] for i, h in enumerate(hashes) if h in unread},
    )


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
