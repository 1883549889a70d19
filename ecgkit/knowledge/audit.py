"""A sheet for checking an extraction by hand: sampled reports, their entities, and a column for verdicts.

The sheet is a CSV file, an HTML page that marks the findings in the text, and if wanted an Excel workbook. Verdicts are
written into the CSV file or the workbook; `ecgkit.knowledge.verdicts` says how and reads them. A sheet that holds
verdicts is never replaced unless that is asked for.

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

from ecgkit.errors import DatasetError, OutputError
from ecgkit.knowledge.extract import check_reports
from ecgkit.knowledge.labels import DEFAULT_NAME, VOCABULARY, read_labels
from ecgkit.knowledge.mention_table import read_mentions
from ecgkit.knowledge.mentions import Mention
from ecgkit.knowledge.reports import Reports
from ecgkit.knowledge.sheets import inert, private_file
from ecgkit.knowledge.statements import clean, split_statements, text_hash
from ecgkit.knowledge.verdicts import COLUMNS, read_sheet
from ecgkit.knowledge.vocabulary import read_vocabulary

HERE = Path(__file__).parent
BETWEEN_QUOTES = " ... "


@dataclass(frozen=True)
class Piece:
    """A piece of a text; `polarity` is empty if nothing was found in it."""

    text: str
    polarity: str = ""
    entities: str = ""


@dataclass(frozen=True)
class Finding:
    """An entity that was found in a text; `spans` are the places of the words that name it."""

    entity: str
    polarity: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class AuditedText:
    """One text of a report and what was found in it. A name that the vocabulary lacks stands for itself."""

    text: str
    findings: tuple[Finding, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The text in pieces, in order. If a finding has no known place, the whole text is marked."""
        marks = [(*span, f) for f in self.findings for span in f.spans or ((0, len(self.text)),)]
        edges = sorted({0, len(self.text), *(edge for start, stop, _ in marks for edge in (start, stop))})
        pieces = []
        for start, stop in pairwise(edges):
            over = [f for a, b, f in marks if a <= start and stop <= b]
            named = "; ".join(f"{f.entity} ({f.polarity})" for f in over)
            pieces.append(Piece(self.text[start:stop], over[0].polarity if over else "", named))
        return tuple(pieces)

    def quote(self, finding: Finding) -> str:
        """Return the words that name a finding."""
        return BETWEEN_QUOTES.join(self.text[start:stop] for start, stop in finding.spans)


@dataclass(frozen=True)
class AuditedRecord:
    """One sampled record."""

    record_id: str
    complete: bool
    texts: tuple[AuditedText, ...]


def sheet_paths(reports: Reports, name: str = DEFAULT_NAME, *, xlsx: bool = False) -> tuple[Path, ...]:
    """Return where the sheet of an extraction lies: CSV file, HTML page and, if wanted, workbook."""
    stem = reports.folder / f"audit-{name}"
    return tuple(stem.with_suffix(suffix) for suffix in (".csv", ".html", *([".xlsx"] if xlsx else [])))


def check_no_verdicts(reports: Reports, name: str = DEFAULT_NAME) -> None:
    """Check that no sheet of an extraction holds verdicts or comments, so that it may be replaced.

    Raises:
        OutputError: A sheet holds some, or cannot be read, so that nobody knows.
    """
    table, _, workbook = sheet_paths(reports, name, xlsx=True)
    for path in (table, workbook):
        if not path.exists():
            continue
        try:
            work = sum(bool(row["verdict"] or row["comment"]) for row in read_sheet(path))
        except DatasetError as error:
            raise OutputError(
                f"{path} exists and cannot be read, so verdicts in it would be lost ({error.found})",
                remedy="Move it away, or replace it with: ecgkit extract-knowledge audit ... --overwrite",
            ) from None
        if work:
            raise OutputError(
                f"{path} holds verdicts or comments in {work} rows",
                remedy=f"Score it with: ecgkit extract-knowledge audit --score {path}. Then move it away, or "
                "replace it with: ecgkit extract-knowledge audit ... --overwrite",
            )


def write_audit(
    reports: Reports,
    count: int,
    *,
    name: str = DEFAULT_NAME,
    seed: int = 0,
    xlsx: bool = False,
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Write the sheet beside the labels.

    Args:
        reports: The reports that were read.
        count: Number of reports to sample; empty reports are left out.
        name: Name of the extraction.
        seed: Random seed of the sample.
        xlsx: Whether to write an Excel workbook too.
        overwrite: Whether a sheet that holds verdicts may be replaced.

    Returns:
        The CSV file, the HTML page and, if wanted, the workbook.

    Raises:
        StoreError: There are no labels, or they belong to other reports.
        OutputError: The earlier sheet holds verdicts, or the package for workbooks is missing.
    """
    if not overwrite:
        check_no_verdicts(reports, name)
    records = sample_audit(reports, count, name=name, seed=seed)
    paths = sheet_paths(reports, name, xlsx=xlsx)
    if xlsx:
        from ecgkit.knowledge.workbook import write_workbook

        with private_file(paths[2]) as staging:
            write_workbook(staging, _rows(records))
    with private_file(paths[0]) as staging, staging.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([inert(cell) for cell in row] for row, _ in _rows(records))
    with private_file(paths[1]) as staging:
        page = render_audit(records, title=f"Audit of {name}", table=paths[0].name)
        staging.write_text(page, encoding="utf-8", newline="\n")
    return paths


def sample_audit(reports: Reports, count: int, *, name: str = DEFAULT_NAME, seed: int = 0) -> tuple[AuditedRecord, ...]:
    """Sample records, with the mentions found in their reports; see `write_audit`."""
    path = reports.extraction(name)
    labels = read_labels(path)
    reports = check_reports(labels, reports, path)
    mentions = read_mentions(path)
    unit = labels.provenance["options"]["unit"]
    entity_of = dict(read_vocabulary(path / VOCABULARY).entity_of)
    with_text = [row for row, text in enumerate(reports.texts) if clean(text)]
    rows = np.sort(np.random.default_rng(seed).permutation(with_text)[:count])

    def texts(report: str) -> Iterator[AuditedText]:
        for text in dict.fromkeys(split_statements(report) if unit == "statement" else [clean(report)]):
            yield audited(text, mentions.get(text_hash(text), ()), entity_of)

    return tuple(
        AuditedRecord(reports.ids[row], bool(labels.complete[row]), tuple(texts(reports.texts[row]))) for row in rows
    )


def audited(text: str, mentions: Sequence[Mention], entity_of: Mapping[str, str]) -> AuditedText:
    """Return a text with its findings, under the names of the vocabulary."""
    return AuditedText(
        text,
        tuple(
            Finding(
                entity_of.get(m.name, m.name),
                m.polarity,
                tuple((start, stop) for start, stop in m.spans if 0 <= start < stop <= len(text)),
            )
            for m in mentions
        ),
    )


def render_audit(records: Sequence[AuditedRecord], *, title: str, table: str) -> str:
    """Return the sheet as one HTML page that needs no other file, no network and no script."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("audit.html.j2").render(title=title, records=records, table=table)


def _rows(records: Sequence[AuditedRecord]) -> Iterator[tuple[tuple[str, ...], tuple[tuple[int, int], ...]]]:
    """Yield each row of the sheet, and the places in its text that are to be marked."""
    for record in records:
        for text in record.texts:
            for f in text.findings:
                yield (record.record_id, text.text, f.entity, f.polarity, text.quote(f), "", ""), f.spans
            if not text.findings:
                yield (record.record_id, text.text, "", "", "", "", ""), ()
