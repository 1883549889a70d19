"""What of a person goes into a store: no names and no birth dates, unless asked for; ids as they are, or hashed.

This is decided in one place for all layouts, by the names of columns. What a file name, a record id or the free text of
a report says about a person cannot be known, so it is kept.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecgkit.errors import ConfigError

# Columns that name a person, in lower case and without blanks, dots, dashes and underscores.
_PERSONAL = re.compile(
    r"(patients?|subjects?|persons?|pat)?"
    r"(text|(first|last|middle|family|given|maiden|full|sur)?names?|initials|birth(date|day|time|year)?|dateofbirth|dob"
    r"|(home|postal|email)?address|street|zip(code)?|postcode|phone(number)?|telephone|mobile|email|ssn"
    r"|socialsecuritynumber|nationalid|insurance(number|id)?)"
)
_SHORTEST = 8
_DIGITS = 16  # 64 bits: among a million patients, two get the same hash with a probability of 3e-8
IN_LINE = "key:"


@lru_cache(maxsize=4096)
def is_personal(column: str) -> bool:
    """Return whether a column's name says that it holds a name, a birth date, an address or the like."""
    return _PERSONAL.fullmatch(re.sub(r"[\s._\-']", "", column).lower()) is not None


@dataclass(frozen=True)
class Identity:
    """What of a person is kept.

    Args:
        keep: Keep names, birth dates and the like.
        key: Key with which patient ids are hashed; empty to keep them as they are.
    """

    keep: bool = False
    key: bytes = field(default=b"", repr=False)

    @property
    def attributes(self) -> dict[str, str]:
        """What a store says of its patient ids: eight digits that tell two keys apart, and do not tell the key."""
        return {"patient_key": self.patient("ecgkit key")[:8]} if self.key else {}

    def patient(self, patient_id: str) -> str:
        """Return a patient's id as the store keeps it. With a key it is HMAC-SHA-256 of the id, in 16 hex digits."""
        if not self.key:
            return patient_id
        return hmac.new(self.key, patient_id.encode(), hashlib.sha256).hexdigest()[:_DIGITS]

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a record's columns without those that name a person, unless they are to be kept, and with a hashed id.

        ``patient_text`` is free text about the patient of a file without an id. It serves as id if it is hashed or
        kept.
        """
        text = row.get("patient_text") if self.key or self.keep else None
        patient = row.get("patient_id") or text
        kept = {name: value for name, value in row.items() if self.keep or not is_personal(name)}
        return {**kept, "patient_id": self.patient(patient) if patient else None}


def plain_id(text: str | None) -> str | None:
    """Return a patient's id without blanks around it and without invisible characters; None if nothing is left.

    One table may hold a patient's id with a blank before it, with one after it, and with accents of two spellings.
    """
    if text is None:
        return None
    visible = "".join(c for c in unicodedata.normalize("NFC", text) if unicodedata.category(c) not in ("Cc", "Cf"))
    return visible.strip() or None


ANONYMOUS = Identity()


def read_key(text: str) -> bytes:
    """Return the key that a user gave: a file, or the key itself after ``key:``; empty for an empty text.

    Blanks around the key are ignored.

    Raises:
        ConfigError: The file cannot be read, or the key is shorter than 8 bytes.
    """
    if not text:
        return b""
    try:
        key = (text.removeprefix(IN_LINE).encode() if text.startswith(IN_LINE) else Path(text).read_bytes()).strip()
    except OSError as error:
        raise ConfigError(
            f"--hash-patients: the key file {text} cannot be read ({error.strerror})",
            "a file with a key, or key:SECRET",
            "To make a key: head -c 32 /dev/urandom | base64 > key.txt",
        ) from None
    if len(key) < _SHORTEST:
        raise ConfigError(f"--hash-patients: the key has {len(key)} bytes", f"at least {_SHORTEST}")
    return key
