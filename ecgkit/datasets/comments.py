"""Read header comments: diagnoses, age and sex, and all other comments of the form ``key: value``."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

_AGE = re.compile(
    r"[<>~≥]?\s*(?P<number>\d+([.,]\d+)?)\s*\+?\s*"
    r"(?P<unit>years?( old)?|yrs?|y|a|months?|mon?|m|weeks?|wks?|w|days?|d)?\.?",
    re.IGNORECASE,
)
_YEARS = {"y": 1.0, "a": 1.0, "m": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25}
_CODES = re.compile(r"[\d\s,;|/&+]+")
_MARKS = " <>#"
# "The age of patients over 89 is set to 300" (PTB-XL, HIPAA). 90 keeps them the oldest without distorting means.
HIDDEN_AGE, OLDEST = 300.0, 90.0
# Comments whose content has columns of their own.
_OWN = {"dx", "age", "sex", "gender"}
# The form that WFDB's header(5) recommends holds several keys in one line: "<age>: 69 <sex>: M <diagnoses>: none".
_KEYS_IN_LINE = re.compile(r"(?=<[^<>:]+>\s*:?)")
_KEY = re.compile(r"\s*<(?P<key>[^<>:]+)>\s*:?(?P<value>.*)")
# Words that say that something is not known.
UNKNOWN = {"", "nan", "unknown", "none", "n/a", "na"}
# A header may hold anything; no more comments than these become columns, and no key longer than this.
MOST_COLUMNS, LONGEST_KEY = 64, 60


@dataclass(frozen=True)
class Comments:
    """What the comments of a header say.

    Args:
        labels: Codes or words after ``Dx``.
        age: Age in years.
        sex: ``M`` or ``F``.
        columns: All other comments with a key, by the key as written.
    """

    labels: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def find(self, column: str) -> str | None:
        """Return the comment with a key, which may differ in case; None if there is none."""
        return {key.lower(): value for key, value in self.columns.items()}.get(column.strip(_MARKS).lower())


def comment_fields(lines: tuple[str, ...]) -> dict[str, str]:
    """Return the first comment of each key in lower case, without blanks, ``#``, ``<`` and ``>`` around it."""
    return _first_of(_pairs(lines))


def parse_comments(lines: tuple[str, ...]) -> Comments:
    """Read comments such as ``# Dx: 426783006,164934002``, ``# Age: 81`` and ``# Reason for admission: Dysrhythmia``.

    Several lines of one key are joined: diagnoses as one list, others by ``"; "``. An age that is not a number is left
    out.
    """
    pairs = list(_pairs(lines))
    fields = _first_of(pairs)
    columns: dict[str, list[str]] = {}
    for key, value in pairs:
        if value and 0 < len(key) <= LONGEST_KEY and key.lower() not in _OWN:
            columns.setdefault(key, []).append(value)
    joined = {key: "; ".join(dict.fromkeys(values)) for key, values in list(columns.items())[:MOST_COLUMNS]}
    labels = dict.fromkeys(code for key, value in pairs if key.lower() == "dx" for code in split_codes(value))
    known = tuple(label for label in labels if label.lower() not in UNKNOWN)
    sex = parse_sex(fields.get("sex", "")) or parse_sex(fields.get("gender", ""))
    return Comments(known, parse_age(fields.get("age", "")), sex, joined)


def split_codes(text: str) -> list[str]:
    """Return the codes or words of a list that is separated by commas, semicolons or bars.

    Codes that are numbers may also be separated by blanks, ``/``, ``&`` or ``+``.
    """
    parts = re.split(r"[\s,;|/&+]+" if _CODES.fullmatch(text) else r"[,;|]", text)
    return [code for part in parts if (code := part.strip().strip("\"'").strip())]


def parse_age(text: str) -> float | None:
    """Return an age in years, such as of ``64 years``, ``064Y``, ``18 months`` or ``90+``; None if there is none."""
    match = _AGE.fullmatch(text.strip())
    if not match:
        return None
    age = float(match["number"].replace(",", ".")) * _YEARS[(match["unit"] or "y")[0].lower()]
    return OLDEST if age == HIDDEN_AGE else age


def parse_sex(text: str) -> str | None:
    """Return ``M`` or ``F``; None for anything else."""
    letter = text.strip()[:1].upper()
    return letter if letter in ("M", "F") else None


def _first_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, value in pairs:
        fields.setdefault(key.lower(), value)
    return fields


def _pairs(lines: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for line in lines:
        content = line.strip().lstrip("#")
        if _KEY.match(content):
            found = (_KEY.fullmatch(part) for part in _KEYS_IN_LINE.split(content))
            yield from ((match["key"].strip(_MARKS), match["value"].strip()) for match in found if match)
            continue
        key, colon, value = content.partition(":")
        if colon:
            yield key.strip(_MARKS), value.strip()
