"""The reports of a store as models read them: cleaned as in MERL, with each unique text once.

Cleaning: Liu et al., MERL, arXiv 2403.06659, as its released code does it. Machine reports repeat massively, so all
computations on text are done once per unique text, and a batch holds indices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.datasets.tables import stream_rows
from ecgkit.errors import DatasetError, StoreError
from ecgkit.store.reader import Store

FEWEST_WORDS = 4  # MERL leaves out shorter reports
NO_REPORT = -1


@dataclass(frozen=True)
class CleanReport:
    """A cleaned report, as the text encoder reads it.

    Args:
        text: The report in lower case, on one line; ``empty`` if there is none.
        words: Number of words before the closing full stop.
    """

    text: str
    words: int

    @property
    def kept(self) -> bool:
        """Whether the report is long enough to train on."""
        return self.words >= FEWEST_WORDS


def clean_report(statements: Sequence[str | None]) -> CleanReport:
    """Join and clean the statements of one report. Missing statements are None."""
    text = ". ".join(statement for statement in statements if statement is not None)
    text = text.replace("EKG", "ECG").replace("ekg", "ecg")
    for ornaments in (" *", " *", " *", "=-", "="):
        text = text.strip(ornaments)
    text = text.lower()
    words = len(text.split())
    if not words:
        return CleanReport("empty", 0)
    return CleanReport(text.translate(str.maketrans("\n\r\t", "   ")) + ".", words)


@dataclass(frozen=True)
class ReportTable:
    """The unique reports of a store.

    Args:
        texts: The U cleaned texts, in the order in which they first occur.
        index: ``[R]``, index of each record's text; `NO_REPORT` if the record has no report, or one that is too short.
    """

    texts: tuple[str, ...]
    index: NDArray[np.int64]

    def of(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        """Return the unique texts of some records, in order."""
        return tuple(self.texts[i] for i in np.unique(self.index[rows]) if i != NO_REPORT)


def report_table(store: Store) -> ReportTable:
    """Return the unique reports of a store, and the index of each record's report.

    Raises:
        StoreError: No record has a report of at least `FEWEST_WORDS` words.
    """
    index: dict[str, int] = {}
    rows = np.full(len(store), NO_REPORT)
    for row, report in enumerate(store.table["report"]):
        cleaned = clean_report(report.split("\n") if isinstance(report, str) else [])
        if cleaned.kept:
            rows[row] = index.setdefault(cleaned.text, len(index))
    if not index:
        raise StoreError(
            f"{store.path} contains no reports of at least {FEWEST_WORDS} words",
            remedy="Make a store of a dataset with reports, such as MIMIC-IV-ECG: ecgkit ingest SRC --out STORE",
        )
    return ReportTable(tuple(index), rows)


def read_corpus(path: Path, column: str = "report") -> tuple[str, ...]:
    """Return the unique cleaned reports of a CSV table, in order. They are texts without ECGs.

    Raises:
        DatasetError: The table cannot be read, or contains no report of at least `FEWEST_WORDS` words.
    """
    cleaned = [clean_report(str(row[column]).split("\n")) for row in stream_rows(path, [column]) if row[column]]
    texts = tuple(dict.fromkeys(report.text for report in cleaned if report.kept))
    if not texts:
        raise DatasetError(f"column {column!r} of {path} contains no reports of at least {FEWEST_WORDS} words")
    return texts
