"""Split reports into statements, and keep each unique statement once.

Machine reports repeat a few thousand phrases over hundreds of thousands of records, so all later steps work on unique
cleaned texts. A statement ends at a line break, at a semicolon, or at a full stop that is not part of an abbreviation.
Cleaning keeps every word: Unicode NFC, lower case, single spaces, no ornaments at the ends; soft hyphens vanish, and
ligatures are written as letters. A line that ends with a word such as "no" goes on in the next one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Unit = Literal["statement", "report"]

ORNAMENTS = " \t*=-–_.,;:|#\"'"
# A full stop after one of these words does not end a statement. Nor does one after a number or a single letter.
ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        """abl ableit ant anterolat anteroinf anterosept auszuschl bes bzw ca chron dd ek evtl fragl gel ggf gr grad
        hypertr inf infer inkompl amplitudkrit krit insuff intermitt intraventr kompl komplett lat li max min mind mögl
        mäss neg nr parox part path pathol patholog pos post postop re rechtsv rel sek sec supraventr susp tachyk
        typ unbest unspez unspezif unvollst v.a va ventr verd vollst vs wahrsch z.b z.n z.t zb zn zt approx dr e.g i.e
        resp""",
    )
)
# Letters that other programs write for the same: ligatures, hyphens of all kinds, and signs without a width.
_LETTERS = str.maketrans(
    {
        **dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)),
        **dict.fromkeys("\u2010\u2011\u2012\u2212", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", ""),
        "º": "°",
    }
)
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*[\r\n]*")
# A line that ends with one of these words goes on in the next line.
_OPEN_END = re.compile(
    r"(?<!\w)(no|not|nor|neither|without|(?:no |without )?evidence (?:of|for)|(?:no )?signs? of|absence of|free of"
    r"|negative for|(?:cannot |can not |to )?(?:rule out|exclude)|r/o|possible|probable|consider|suspect"
    r"|suggest(?:s|ing|ive)?(?: of)?|(?:consistent|compatible) with|kein\w*|ohne|nicht|weder|hinweise? auf"
    r"|zeichen einer?|verdacht auf|v\.a\.|ausschluss(?: eine[rs])?|ingen|inga|inget|ej|utan|tecken på|misstänkt)"
    r"[ \t]*\r?\n\s*"
)
_LINES = re.compile(r"[\r\n;]+")
_STOP = re.compile(r"\.(?=\s|$)")
_SPACE = re.compile(r"\s+")
_WORD_BEFORE = re.compile(r"[^\s()/]*$")


def clean(text: str) -> str:
    """Return a text in lower case, with single spaces and without ornaments at its ends."""
    return _SPACE.sub(" ", _normalise(text)).strip(ORNAMENTS)


def _normalise(text: str) -> str:
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFC", _SOFT_HYPHEN.sub("", text))
    return text.translate(_LETTERS).lower()


def split_statements(report: str) -> list[str]:
    """Split a report into its cleaned statements, in order."""
    text = _normalise(report)
    if "\n" in text:
        text = _OPEN_END.sub(r"\1 ", text)
    parts = (part for line in _LINES.split(text) for part in _sentences(line))
    return [statement for part in parts if (statement := _SPACE.sub(" ", part).strip(ORNAMENTS))]


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for stop in _STOP.finditer(line):
        if ends_sentence(line, stop.start(), start):
            yield line[start : stop.start()]
            start = stop.end()
    yield line[start:]


def ends_sentence(text: str, stop: int, start: int = 0) -> bool:
    """Return whether the full stop at a place of a text in lower case ends a sentence that begins at `start`."""
    word = _WORD_BEFORE.search(text, start, stop)
    before = word[0] if word else ""
    return not (before in ABBREVIATIONS or before.isdigit() or _is_initial(before))


def _is_initial(word: str) -> bool:
    """Return whether a word is a single letter that is neither a lead (I, aVL as "l") nor a numeral."""
    return len(word) == 1 and word.isalpha() and word not in "ivl"


def text_hash(text: str) -> str:
    """Return the SHA-256 that identifies a cleaned text."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Corpus:
    """Unique texts, and which records contain them.

    Args:
        texts: Unique cleaned texts, in the order in which they first occur.
        counts: Number of records that contain each text, ``[U]``.
        records: Indices of the texts of each record, without repeats.
        unit: Unit of a text, ``statement`` or ``report``.
    """

    texts: tuple[str, ...]
    counts: NDArray[np.int64]
    records: tuple[tuple[int, ...], ...]
    unit: Unit

    @property
    def repeats(self) -> int:
        """Number of texts that need not be read, since an equal text is read."""
        return sum(map(len, self.records)) - len(self.texts)


def corpus_of(reports: Sequence[str], unit: Unit = "statement") -> Corpus:
    """Collect the unique texts of some reports.

    Args:
        reports: One text per record; empty for a record without a report.
        unit: ``statement`` or ``report``.
    """
    index: dict[str, int] = {}
    known: dict[str, tuple[int, ...]] = {}
    for report in reports:
        if report not in known:
            whole = clean(report)
            texts = split_statements(report) if unit == "statement" else [whole] if whole else []
            known[report] = tuple(dict.fromkeys(index.setdefault(text, len(index)) for text in texts))
    records = tuple(known[report] for report in reports)
    counts = np.bincount([i for record in records for i in record], minlength=len(index))
    return Corpus(tuple(index), counts.astype(np.int64), records, unit)
