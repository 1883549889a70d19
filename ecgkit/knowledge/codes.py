"""Codes of entities in other systems: SCP-ECG statements, SNOMED CT concepts and ICD-10 categories.

The map is ``lexicon/codes.csv``, one row per entity of the lexicon. Several codes of one system are separated by
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

    def cells(self) -> dict[str, str]:
        """Return the codes by system, several separated by spaces."""
        return {system: " ".join(getattr(self, system)) for system in SYSTEMS}


@cache
def load_codes() -> Mapping[str, Codes]:
    """Return the codes by entity of the lexicon."""
    with CODES.open(encoding="utf-8", newline="") as file:
        return {
            row["entity"]: Codes(*(tuple(row[system].split()) for system in SYSTEMS)) for row in csv.DictReader(file)
        }
