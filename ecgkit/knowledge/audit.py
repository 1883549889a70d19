"""A sheet for checking an extraction by hand, as CSV and as one HTML page: sampled reports and their entities.

The sheet shows report text, which can be patient data. It is therefore written beside the labels and readable only by
its owner. The reports are a random sample with a fixed seed, so nobody chooses which reports are checked.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ecgkit.knowledge.extract import check_reports
from ecgkit.knowledge.labels import DEFAULT_NAME, read_labels
from ecgkit.knowledge.mention_table import read_mentions
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.sheets import inert, private_file
from ecgkit.knowledge.statements import clean, split_statements, text_hash

HERE = Path(__file__).parent
COLUMNS = ("record_id", "text", "entity", "polarity", "verdict", "comment")


@dataclass(frozen=True)
class Piece:
    """A piece of a text; `polarity` is empty if nothing was found in it."""

    text: str
    polarity: str = ""
    entities: str = ""


@dataclass(frozen=True)
class AuditedText:
    """One text of a report and the mentions found in it.

    Args:
        pieces: The text in pieces, in order.
        mentions: Entity and polarity of each mention. A name that the vocabulary lacks stands for itself.
    """

    pieces: tuple[Piece, ...]
    mentions: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class AuditedRecord:
    """One sampled record."""

    record_id: str
    complete: bool
    texts: tuple[AuditedText, ...]


def write_audit(reports: Reports, count: int, *, name: str = DEFAULT_NAME, seed: int = 0) -> tuple[Path, Path]:
    """Write the sheet beside the labels.

    Args:
        reports: The reports that were read.
        count: Number of reports to sample; empty reports are left out.
        name: Name of the extraction.
        seed: Random seed of the sample.

    Returns:
        The CSV file and the HTML page.

    Raises:
        StoreError: There are no labels, or they belong to other reports.
    """
    records = sample_audit(reports, count, name=name, seed=seed)
    stem = reports.folder / f"audit-{name}"
    table, page = stem.with_suffix(".csv"), stem.with_suffix(".html")
    with private_file(table) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_rows(records))
    with private_file(page) as staging:
        staging.write_text(render_audit(records, title=f"Audit of {name}"), encoding="utf-8", newline="\n")
    return table, page


def sample_audit(reports: Reports, count: int, *, name: str = DEFAULT_NAME, seed: int = 0) -> tuple[AuditedRecord, ...]:
    """Sample records, with the mentions found in their reports; see `write_audit`."""
    path = reports.folder / name
    labels = read_labels(path)
    reports = check_reports(labels, reports, path)
    mentions = read_mentions(path)
    unit = labels.provenance["options"]["unit"]
    entity_of = _entities(path)
    with_text = [row for row, text in enumerate(reports.texts) if clean(text)]
    rows = np.sort(np.random.default_rng(seed).permutation(with_text)[:count])

    def texts(report: str) -> Iterator[AuditedText]:
        for text in split_statements(report) if unit == "statement" else [clean(report)]:
            yield _audited(text, mentions.get(text_hash(text), ()), entity_of)

    return tuple(
        AuditedRecord(reports.ids[row], bool(labels.complete[row]), tuple(texts(reports.texts[row]))) for row in rows
    )


def render_audit(records: Sequence[AuditedRecord], *, title: str) -> str:
    """Return the sheet as one HTML page that needs no other file, no network and no script."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("audit.html.j2").render(title=title, records=records)


def _entities(path: Path) -> dict[str, str]:
    from ecgkit.knowledge.labels import VOCABULARY
    from ecgkit.knowledge.vocabulary import read_vocabulary

    return dict(read_vocabulary(path / VOCABULARY).entity_of)


def _audited(text: str, mentions: Sequence[Mention], entity_of: Mapping[str, str]) -> AuditedText:
    """Cut a text into pieces. If a mention has no known position, the whole text is marked."""
    marks = [
        (start, stop, m.polarity, entity_of.get(m.name, m.name))
        for m in mentions
        for start, stop in (m.spans or ((0, len(text)),))
        if 0 <= start < stop <= len(text)
    ]
    edges = sorted({0, len(text), *(edge for start, stop, *_ in marks for edge in (start, stop))})
    pieces = []
    for start, stop in pairwise(edges):
        over = [(polarity, entity) for a, b, polarity, entity in marks if a <= start and stop <= b]
        polarity = over[0][0] if over else ""
        pieces.append(Piece(text[start:stop], polarity, "; ".join(f"{e} ({p})" for p, e in over)))
    found = tuple((entity_of.get(m.name, m.name), m.polarity) for m in mentions)
    return AuditedText(tuple(pieces), found)


def _rows(records: Sequence[AuditedRecord]) -> Iterator[tuple[str, ...]]:
    for record in records:
        for text in record.texts:
            for entity, polarity in text.mentions or (("", ""),):
                yield tuple(inert(cell) for cell in (record.record_id, text.text, entity, polarity, "", ""))
