"""Codes of entities in other systems: SCP-ECG statements, SNOMED CT concepts and ICD-10 categories.

The map is ``lexicon/codes.csv``, one row per entity of the lexicon. A vocabulary can give its entities codes of their
own (`ecgkit.knowledge.vocabulary`). Several codes of one system are separated by
spaces. The SCP-ECG statements are those of PTB-XL (``scp_statements.csv``). The SNOMED CT concepts are those that the
PhysioNet/CinC Challenge 2021 uses for such findings (``dx_mapping_scored.csv``, ``dx_mapping_unscored.csv``); the
ICD-10 categories are those of the World Health Organization. A code is left out where no code says the same.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CODES = Path(__file__).parent / "lexicon" / "codes.csv"
SYSTEMS = ("scp_ecg", "snomed_ct", "icd10")


@dataclass(frozen=True)
class Codes:
    """Codes of one entity in each system."""

    scp_ecg: tuple[str, ...] = ()
    snomed_ct: tuple[str, ...] = ()
    icd10: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, list[str]]:
        """Return the codes by system, for systems that have one."""
        return {system: list(codes) for system in SYSTEMS if (codes := getattr(self, system))}

    def cells(self) -> dict[str, str]:
        """Return the codes by system, several separated by spaces."""
        return {system: " ".join(getattr(self, system)) for system in SYSTEMS}


def codes_from(values: Mapping[str, object]) -> Codes:
    """Return codes from values by system: one code, several separated by spaces, or a list.

    Raises:
        ValueError: A system is unknown, or a value is no code.
    """
    if unknown := [system for system in values if system not in SYSTEMS]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(SYSTEMS)}")
    return Codes(*(_several(values.get(system)) for system in SYSTEMS))


def _several(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(part, bool) or not isinstance(part, str | int | None) for part in parts):
        raise ValueError(f"{str(value)[:40]!r} is no code")
    return tuple(code for part in parts if part is not None for code in str(part).split())


@cache
def load_codes() -> Mapping[str, Codes]:
    """Return the codes by entity of the lexicon."""
    with CODES.open(encoding="utf-8", newline="") as file:
        return {
            row["entity"]: Codes(*(tuple(row[system].split()) for system in SYSTEMS)) for row in csv.DictReader(file)
        }
