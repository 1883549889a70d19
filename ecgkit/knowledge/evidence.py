"""The evidence table: each finding of each record, with the words of its report that say so and their place.

The table shows report text, which can be patient data. It lies beside the labels, and only its owner can read it.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from ecgkit.knowledge.extract import check_reports
from ecgkit.knowledge.labels import DEFAULT_NAME, VOCABULARY, read_labels
from ecgkit.knowledge.mention_table import read_mentions
from ecgkit.knowledge.mentions import ATTRIBUTES, Mention
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.sheets import inert, private_file
from ecgkit.knowledge.statements import corpus_of, text_hash
from ecgkit.knowledge.vocabulary import read_vocabulary

COLUMNS = ("record_id", "entity", "name", "polarity", *ATTRIBUTES, "quote", "start", "stop")


def write_evidence(reports: Reports, *, name: str = DEFAULT_NAME) -> Path:
    """Write the table of an extraction, one row per record, finding and quote.

    `start` and `stop` are positions in the report, in characters (Unicode NFC). They are empty for a finding without a
    quote, and where cleaning changed the words so far that they are not found again.

    Raises:
        StoreError: There are no labels of this name, or they belong to other reports.
    """
    path = reports.extraction(name)
    labels = read_labels(path)
    reports = check_reports(labels, reports, path)
    table = reports.folder / f"mentions-{name}.csv"
    with private_file(table) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(reports, path, labels.provenance["options"]["unit"]))
    return table


def _rows(reports: Reports, path: Path, unit: str) -> Iterator[list[object]]:
    by_text = read_mentions(path)
    entity_of = read_vocabulary(path / VOCABULARY).entity_of
    corpus = corpus_of(reports.texts, "report" if unit == "report" else "statement")
    found = [by_text.get(text_hash(text), ()) for text in corpus.texts]
    for record, report, texts in zip(reports.ids, reports.texts, corpus.records, strict=True):
        for text in texts:
            for mention in found[text]:
                fixed = [record, entity_of.get(mention.name, ""), mention.name, mention.polarity]
                fixed += [getattr(mention, attribute) for attribute in ATTRIBUTES]
                for place in _places(report, corpus.texts[text], mention):
                    yield [*map(inert, fixed), inert(place[0]), *place[1:]]


def _places(report: str, statement: str, mention: Mention) -> Iterator[tuple[str, object, object]]:
    """Yield each quote of a mention with its place in the report."""
    if not mention.spans:
        yield "", "", ""
    for span in mention.spans:
        place = place_in_report(report, statement, span)
        quote = unicodedata.normalize("NFC", report)[slice(*place)] if place else statement[slice(*span)]
        yield quote, *(place or ("", ""))


def place_in_report(report: str, statement: str, span: tuple[int, int]) -> tuple[int, int] | None:
    """Return where a quote from a cleaned statement stands in the report, in characters of its NFC form.

    Args:
        report: The report as it was written.
        statement: One of its cleaned statements.
        span: Place of the quote in the statement.
    """
    start, stop = span
    before, quote, after = (_pattern(part) for part in (statement[:start], statement[start:stop], statement[stop:]))
    found = re.search(f"{before}({quote}){after}", unicodedata.normalize("NFC", report), re.IGNORECASE)
    return found.span(1) if found else None


def _pattern(text: str) -> str:
    """Return a pattern of a cleaned text: any white space for each space, and soft hyphens anywhere."""
    return "".join(r"\s+" if letter == " " else f"{re.escape(letter)}\u00ad?" for letter in text)
