"""Read diagnoses, age and sex from header comments of the CinC Challenges."""

import re
from dataclasses import dataclass

_AGE = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Comments:
    """Labels as written after ``Dx``, age in years, and sex as ``M`` or ``F``."""

    labels: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None


def comment_fields(lines: tuple[str, ...]) -> dict[str, str]:
    """Return the comments of the form ``key: value``. Keys ignore blanks, comment marks, angle brackets and case."""
    fields: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.strip().lstrip("#").partition(":")
        if colon:
            fields.setdefault(key.strip(" <>").lower(), value.strip())
    return fields


def parse_comments(lines: tuple[str, ...]) -> Comments:
    """Read ``Dx``, ``Age`` and ``Sex`` from header comments such as ``# Dx: 426783006,164934002``.

    An age that is not a number is left out.
    """
    fields = comment_fields(lines)
    labels = tuple(code.strip() for code in fields.get("dx", "").split(",") if code.strip())
    age = fields.get("age", "")
    sex = fields.get("sex", "")[:1].upper()
    return Comments(labels, float(age) if _AGE.fullmatch(age) else None, sex if sex in ("M", "F") else None)
