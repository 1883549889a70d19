"""Extract labels from reports. A stopped extraction continues where it was.

The steps follow K-MERL (arXiv 2502.17900): extract mentions, verify them, merge synonyms, fold subtypes into their
parents, and keep frequent entities. If one statement of a report calls a finding present, it is present, even if
another statement doubts or denies it.
"""

import datetime
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgkit.choices import choose, recorded
from ecgkit.config import fingerprint
from ecgkit.errors import ConfigError, DatasetError, StoreError
from ecgkit.executor import Executor
from ecgkit.knowledge.backends import AsksServers, Backend, Cost, LocalReader, Readings, Watch
from ecgkit.knowledge.in_parts import read_in_parts
from ecgkit.knowledge.labelling import default_min_count, label_matrix, name_counts
from ecgkit.knowledge.labels import DEFAULT_NAME, KIND, Entities, keep_edited_vocabulary, read_labels, write_labels
from ecgkit.knowledge.mention_table import mention_table, read_readings
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.statements import Corpus, Unit, corpus_of, text_hash
from ecgkit.knowledge.vocabulary import Vocabulary, read_vocabulary
from ecgkit.store.products import note_own_folder
from ecgkit.unfinished import Unfinished


@dataclass(frozen=True)
class ExtractOptions:
    """Options that decide which labels are made.

    Args:
        unit: Unit that is read as one text: ``statement`` or ``report``.
        min_count: Number of records in which an entity must be present to be kept. None for a number that grows with
            the corpus; see `ecgkit.knowledge.labelling.default_min_count`.
        max_entities: Keep at most this many entities, the most frequent ones.
        keep_children: Whether a subtype keeps its own column beside that of its parent. If not, it counts as its
            parent.
        vocabulary: File of maps to apply instead of those of the backend.
        name: Name of the extraction, since a store may have several.
        overwrite: Whether an earlier extraction of this name may be replaced.
    """

    unit: Unit = "statement"
    min_count: int | None = None
    max_entities: int | None = None
    keep_children: bool = False
    vocabulary: Path | None = None
    name: str = DEFAULT_NAME
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.unit not in ("statement", "report"):
            raise ConfigError(f"unit {self.unit!r}", "statement or report")
        if any(number is not None and number < 1 for number in (self.min_count, self.max_entities)):
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
        min_count: Number of records in which an entity had to be present.
        rare: Number of records per entity that was left out because it is present in fewer.
        counters: Counters of the backend, such as requests and tokens.
        whole: What the whole corpus would take, after a pilot.
        audit: The files of the sheet to check by hand, if one was asked for.
        lost_servers: Why a server was left out while the others went on, by its URL.
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
    min_count: int
    rare: Mapping[str, int]
    counters: Mapping[str, Any]
    whole: Cost | None = None
    audit: tuple[Path, ...] | None = None
    lost_servers: Mapping[str, str] = field(default_factory=dict)

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
            "min_count": self.min_count,
            "rare": dict(self.rare),
            "counters": dict(self.counters),
            "lost_servers": dict(self.lost_servers),
            "labels": str(self.path),
            **({"whole": asdict(self.whole)} if self.whole else {}),
            "entities": [
                {"entity": name, "present": int(p), "uncertain": int(u), "parent": entities.parents.get(name)}
                for name, p, u in rows
            ],
        }


def extract_knowledge(
    reports: Reports,
    backend: Backend,
    options: ExtractOptions = ExtractOptions(),
    watch: Watch = lambda *_: None,
    executor: Executor | None = None,
) -> Summary:
    """Extract entity labels from reports.

    If the work is stopped, the same call continues where it was. The answers of a model are stored one by one; what is
    computed is stored in parts.

    Args:
        reports: Reports that `ecgkit.knowledge.reports.open_reports` returned.
        backend: Extractor that reads the texts.
        options: See `ExtractOptions`.
        watch: Called with the stage, units done and units in total.
        executor: Runs a backend that computes (`LocalReader`); None for as many processes as pay.

    Raises:
        ConfigError: The vocabulary file cannot be read.
        DatasetError: No text could be read, or no entity is frequent enough.
        EndpointError: A model server failed permanently; the answers so far are kept.
        OutputError: Labels of this name exist, another process is making them, or they cannot be written.
    """
    vocabulary = read_vocabulary(options.vocabulary) if options.vocabulary else None
    with in_progress(reports, options, backend.provenance) as unfinished:
        corpus = corpus_of(reports.texts, options.unit)
        if isinstance(backend, LocalReader):
            readings = read_in_parts(unfinished, backend, corpus.texts, watch, executor)
        else:
            readings = backend.read(corpus.texts, watch)
        if corpus.texts and all(found is None for found in readings.mentions):
            reason, _ = Counter(readings.problems.values()).most_common(1)[0]
            raise DatasetError(f"none of {len(corpus.texts)} texts could be read ({reason})")
        vocabulary = vocabulary or backend.vocabulary(name_counts(corpus, readings.mentions), watch)
        provenance = {**backend.provenance, "date": today()}
        summary = label_records(unfinished.made, reports, corpus, readings, vocabulary, provenance, options)
    return replace(summary, lost_servers=dict(backend.lost_servers)) if isinstance(backend, AsksServers) else summary


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
    path = reports.extraction(options.name)
    before = read_labels(path)
    reports = check_reports(before, reports, path)
    options = replace(options, unit=before.provenance["options"]["unit"], overwrite=True)
    corpus = corpus_of(reports.texts, options.unit)
    readings = read_readings(path, corpus)
    kept = {k: v for k, v in before.provenance.items() if k not in ("options", "reports", "texts_sha256")}
    with in_progress(reports, options) as unfinished:
        provenance = {**kept, "relabelled": today()}
        return label_records(unfinished.made, reports, corpus, readings, vocabulary, provenance, options)


def check_reports(labels: Entities, reports: Reports, path: Path) -> Reports:
    """Return the reports that labels were made from: all of them, or the sample of a pilot.

    Raises:
        StoreError: The labels were made from others: of another store, or of other columns or tables.
    """
    pilot = labels.provenance.get("reports", {}).get("pilot")
    if pilot and "pilot" not in reports.source:
        reports = reports.sample(pilot["records"], pilot["seed"])
    texts = labels.provenance.get("texts_sha256", reports.texts_hash)  # labels of earlier versions have none
    if labels.content_hash != reports.content_hash or texts != reports.texts_hash:
        remedy = "Name the same reports with --report-columns and --reports, or extract again with --overwrite."
        raise StoreError(f"{path} was made from other reports", remedy=remedy)
    return reports


@contextmanager
def in_progress(reports: Reports, options: ExtractOptions, read_by: Mapping[str, Any] = {}) -> Iterator[Unfinished]:
    """Yield the unfinished folder of new labels, held by this process. Its output is moved into place at the end.

    Args:
        reports: The reports.
        options: Unit, name, and whether earlier labels may be replaced.
        read_by: Provenance of the backend, on which the parts of a stopped call depend.
    """
    path = reports.folder / options.name
    if reports.shared is not None:
        note_own_folder(reports.shared.parent, reports.folder)

    def rescue(old: Path) -> None:
        kept = keep_edited_vocabulary(old, path)
        if kept is not None:
            choose("kept", kept, "the vocabulary of the replaced labels was edited by hand")

    unfinished = Unfinished(path, KIND, overwrite=options.overwrite, hidden=True, option="--name", rescue=rescue)
    with unfinished.open():
        unfinished.begin(fingerprint(reports.content_hash, reports.texts_hash, options.unit, dict(read_by)))
        shutil.rmtree(unfinished.made)  # of a process that was killed: labels are written in one piece
        unfinished.made.mkdir()
        yield unfinished
        unfinished.finish()


def label_records(
    folder: Path,
    reports: Reports,
    corpus: Corpus,
    readings: Readings,
    vocabulary: Vocabulary,
    provenance: Mapping[str, Any],
    options: ExtractOptions,
) -> Summary:
    """Write the labels that follow from the readings into a folder, and return a summary."""
    with_report = sum(map(bool, corpus.records))
    min_count = options.min_count or default_min_count(with_report)
    labelled = label_matrix(
        corpus,
        readings.mentions,
        vocabulary,
        min_count=min_count,
        max_entities=options.max_entities,
        keep_children=options.keep_children,
    )
    unread = np.array([found is None for found in readings.mentions], bool)
    complete = np.array([bool(record) and not unread[list(record)].any() for record in corpus.records], bool)
    entities = Entities(
        labelled.names,
        labelled.values,
        complete,
        reports.ids,
        vocabulary.parent_of,
        {
            **provenance,
            "reports": dict(reports.source),
            "texts_sha256": reports.texts_hash,
            **({"defaults": recorded()} if recorded() else {}),
            "options": {
                **{k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()},
                "min_count": min_count,
            },
        },
        reports.content_hash,
        vocabulary.codes,
    )
    table = mention_table(corpus.texts, readings.mentions, vocabulary.entity_of)
    problems = {text_hash(corpus.texts[i]): reason for i, reason in readings.problems.items()}
    unread_table = pd.DataFrame({"text": list(problems), "reason": list(problems.values())}, dtype=str)
    write_labels(folder, entities, table, unread_table, vocabulary)
    counts = name_counts(corpus, readings.mentions)
    return Summary(
        path=reports.folder / options.name,
        entities=entities,
        records=len(reports),
        with_report=with_report,
        texts=len(corpus.texts),
        saved=corpus.repeats,
        problems=Counter(problems.values()),
        incomplete=int(with_report - complete.sum()),
        unknown={n: c for n, c in counts.items() if n not in vocabulary.entity_of and n not in vocabulary.ignored},
        min_count=min_count,
        rare=labelled.rare,
        counters=readings.counters,
    )


def today() -> str:
    """Return the date in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
