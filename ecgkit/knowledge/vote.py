"""Several extractions of the same reports vote, text by text and entity by entity.

Each extraction's own vocabulary gives the entities that its mentions stand for. An entity that an extraction left out
as too rare still counts in its vote. Fleiss' kappa: Fleiss, Measuring nominal scale agreement among many raters,
Psychol. Bull. 76(5):378-382 (1971); Cohen's kappa is in `ecgkit.knowledge.agreement`.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.errors import ConfigError
from ecgkit.knowledge.backends import Readings
from ecgkit.knowledge.consensus import consensus
from ecgkit.knowledge.extract import ExtractOptions, Summary, check_reports, in_progress, label_records, today
from ecgkit.knowledge.labels import VOCABULARY, Entities, read_labels
from ecgkit.knowledge.mention_table import read_readings
from ecgkit.knowledge.mentions import Mention, merge_mentions
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.sheets import inert, private_file
from ecgkit.knowledge.statements import Corpus, corpus_of
from ecgkit.knowledge.vocabulary import Vocabulary, make_vocabulary, read_vocabulary

SILENT = "-"  # an extraction that does not mention an entity


@dataclass(frozen=True)
class Concord:
    """Agreement of all voters on one entity.

    Args:
        entity: The entity.
        unanimous: Number of texts that all call it present.
        split: Number of texts that some call present and others do not.
        kappa: Fleiss' kappa over the texts that all have read; None if the agreement by chance is already complete.
    """

    entity: str
    unanimous: int
    split: int
    kappa: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Vote:
    """Result of a vote.

    Args:
        summary: The labels that follow from it.
        voters: Names of the extractions.
        texts: Number of unique texts that all have read.
        rows: Agreement per entity, the one with the most splits first.
        disputes: Table of the texts on which the voters differ, for a person to decide.
        disputed: Number of these texts.
        records: Number of records with such a text.
    """

    summary: Summary
    voters: tuple[str, ...]
    texts: int
    rows: tuple[Concord, ...]
    disputes: Path
    disputed: int
    records: int


def vote(reports: Reports, paths: Sequence[Path], options: ExtractOptions) -> Vote:
    """Make labels from the votes of several extractions.

    Args:
        reports: The reports that all of them were made from.
        paths: Folders of the extractions, two or more.
        options: Name and entities of the new labels. The unit is that of the extractions.

    Raises:
        ConfigError: There are fewer than two, or they read texts of different units.
        StoreError: One of them does not exist, or was made from other reports.
        OutputError: Labels of this name exist, or cannot be written.
    """
    if len({path.resolve() for path in paths}) < max(2, len(paths)):
        raise ConfigError(f"{len(paths)} extractions cannot vote", "two or more different ones")
    labels = [read_labels(path) for path in paths]
    for one, path in zip(labels, paths, strict=True):
        reports = check_reports(one, reports, path)
    units = {one.provenance["options"]["unit"] for one in labels}
    if len(units) > 1:
        raise ConfigError("the extractions read different units of text", "all with the same --unit")
    options = replace(options, unit=units.pop())
    corpus = corpus_of(reports.texts, options.unit)
    voters = [_entity_readings(path, corpus) for path in paths]
    names = tuple(path.name for path in paths)
    with in_progress(reports, options) as unfinished:
        readings = _decide(voters)
        provenance = {"backend": "vote", "voters": _origin(labels, names), "date": today()}
        vocabulary = _vocabulary(paths, voters)
        summary = label_records(unfinished.made, reports, corpus, readings, vocabulary, provenance, options)
    read = [i for i in range(len(corpus.texts)) if all(voter[i] is not None for voter in voters)]
    disputed = [i for i in read if len({_positions(voter[i] or ()) for voter in voters}) > 1]
    sheet = reports.folder / f"disputes-{options.name}.csv"
    _write_disputes(sheet, reports, corpus, voters, names, disputed)
    wanted = set(disputed)
    records = sum(bool(wanted & set(record)) for record in corpus.records)
    return Vote(summary, names, len(read), _concord(voters, read), sheet, len(disputed), records)


def _entity_readings(path: Path, corpus: Corpus) -> list[tuple[Mention, ...] | None]:
    """Return the mentions of an extraction by entity; names that its vocabulary lacks are left out.

    A model's vocabulary lacks the names that are only ever denied. Such a name stands for itself.
    """
    entity_of = read_vocabulary(path / VOCABULARY).entity_of

    def by_entity(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
        named = ((m, entity_of.get(m.name, m.name if m.polarity == "absent" else "")) for m in mentions)
        return merge_mentions(replace(m, name=entity) for m, entity in named if entity)

    found = read_readings(path, corpus).mentions
    return [None if mentions is None else by_entity(mentions) for mentions in found]


def _decide(voters: Sequence[Sequence[tuple[Mention, ...] | None]]) -> Readings:
    """Return the vote of each text; a text that at most half of the voters have read stays unread."""
    mentions: list[tuple[Mention, ...] | None] = []
    problems: dict[int, str] = {}
    for index, votes in enumerate(zip(*voters, strict=True)):
        read = [vote for vote in votes if vote is not None]
        if 2 * len(read) > len(voters):
            mentions.append(consensus(read))
        else:
            mentions.append(None)
            problems[index] = "vote: too few have read it"
    return Readings(mentions, problems)


def _vocabulary(paths: Sequence[Path], voters: Sequence[Sequence[tuple[Mention, ...] | None]]) -> Vocabulary:
    """Return all entities with their parents; where the extractions differ, the first has its way."""
    parents: dict[str, str] = {}
    for path in paths:
        for child, parent in read_vocabulary(path / VOCABULARY).parent_of.items():
            if child not in parents and child not in _lineage(parent, parents):
                parents[child] = parent
    entities = {m.name for voter in voters for found in voter for m in found or ()}
    return make_vocabulary({entity: entity for entity in entities}, parents, source="vote")


def _lineage(entity: str, parents: Mapping[str, str]) -> list[str]:
    line = [entity]
    while line[-1] in parents:
        line.append(parents[line[-1]])
    return line


def _positions(mentions: Sequence[Mention]) -> frozenset[tuple[str, str]]:
    return frozenset((m.name, m.polarity) for m in mentions)


def _concord(voters: Sequence[Sequence[tuple[Mention, ...] | None]], read: Sequence[int]) -> tuple[Concord, ...]:
    """Return the agreement per entity; only present counts as a vote for it, as in training."""
    tallies: dict[str, Counter[int]] = {}  # entity -> number of voters -> texts
    for index in read:
        for entity, count in Counter(
            m.name for voter in voters for m in voter[index] or () if m.polarity == "present"
        ).items():
            tallies.setdefault(entity, Counter())[count] += 1
    rows = [
        Concord(entity, tally[len(voters)], tally.total() - tally[len(voters)], _fleiss(tally, len(voters), len(read)))
        for entity, tally in tallies.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.split, row.entity)))


def _fleiss(tally: Mapping[int, int], voters: int, texts: int) -> float | None:
    """Return Fleiss' kappa of two categories, from the number of texts with each number of votes."""
    share = sum(count * number for count, number in tally.items()) / (voters * texts)
    apart = sum(2 * count * (voters - count) * number for count, number in tally.items())
    observed = 1 - apart / (voters * (voters - 1) * texts)
    chance = share**2 + (1 - share) ** 2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _origin(labels: Sequence[Entities], names: Sequence[str]) -> dict[str, Any]:
    kept = ("backend", "model", "prompts", "lexicon_version")
    return {
        name: {key: one.provenance[key] for key in kept if key in one.provenance}
        for name, one in zip(names, labels, strict=True)
    }


def _write_disputes(
    path: Path,
    reports: Reports,
    corpus: Corpus,
    voters: Sequence[Sequence[tuple[Mention, ...] | None]],
    names: Sequence[str],
    disputed: Sequence[int],
) -> None:
    """Write one row per disputed text and entity, the text of the most records first."""
    first = {text: record for record, texts in reversed(list(enumerate(corpus.records))) for text in texts}
    with private_file(path) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("records", "a_record", "text", "entity", *names, "verdict", "comment"))
        for i in sorted(disputed, key=lambda i: (-corpus.counts[i], i)):
            said = [{m.name: m.polarity for m in voter[i] or ()} for voter in voters]
            for entity in sorted({name for one in said for name in one}):
                votes = [one.get(entity, SILENT) for one in said]
                if len(set(votes)) > 1:
                    row = (reports.ids[first[i]], corpus.texts[i], entity)
                    writer.writerow((int(corpus.counts[i]), *map(inert, row), *votes, "", ""))
