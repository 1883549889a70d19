"""MIMIC-IV-ECG with the discharge diagnoses of MIMIC-IV-ECG-Ext-ICD.

Strodthoff, Lopez Alcaraz, Haverkamp, MIMIC-IV-ECG-Ext-ICD: Diagnostic labels for MIMIC-IV-ECG, PhysioNet (2024), doi
10.13026/hdyc-1h77. ``records_w_diag_icd10.csv`` may lie in the folder of MIMIC-IV-ECG, beside it, or in a sibling
folder with PhysioNet's name. Codes have no dot (I2510). Cells with several codes hold the text of a Python list.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ecgkit.datasets.base import Source, hashed_fold
from ecgkit.datasets.mimic_iv_ecg import MimicIvEcg
from ecgkit.datasets.spool import Keyed, Spool
from ecgkit.datasets.tables import Row, number, stream_rows, text
from ecgkit.errors import RecordError

TABLE = "records_w_diag_icd10.csv"
FOLDER = "mimic-iv-ecg-ext-icd"
# The publisher's choice: discharge diagnoses of the hospital if there are any, else of the emergency department.
LABELS = "all_diag_all"
LISTS = ("ed_diag_ed", "ed_diag_hosp", "hosp_diag_hosp", "all_diag_hosp", LABELS)
IDS = ("ed_stay_id", "ed_hadm_id", "hosp_hadm_id", "dod")
NUMBERS = ("anchor_year", "anchor_age", "ecg_no_within_stay", "strat_fold")
FLAGS = ("ecg_taken_in_ed", "ecg_taken_in_hosp", "ecg_taken_in_ed_or_hosp")
REQUIRED = ("study_id", *LISTS, "fold")
KEPT = (*LISTS, *IDS, *NUMBERS, *FLAGS, "fold", "age", "gender")
# The table has 20 folds. Its authors validate on the second last and test on the last.
VALIDATION, TEST = 18, 19
TRAINING = 8
_LIST = re.compile(r"\[\s*(?:'[^'\\]*'(?:\s*,\s*'[^'\\]*')*\s*,?\s*)?\]")
_ITEM = re.compile(r"'([^']*)'")


class MimicIvEcgExtIcd(MimicIvEcg):
    """Labels are ICD-10-CM codes. The table's lists, stays, flags and folds are kept in columns of their own."""

    name = "mimic-iv-ecg-ext-icd"
    code_system = "icd10"

    @classmethod
    def recognises(cls, root: Path) -> bool:
        """Return whether the folder is MIMIC-IV-ECG and the table of diagnoses is in it or near it."""
        return super().recognises(root) and next(_tables(root), None) is not None

    def sources(self) -> Sequence[Source]:
        """List the records of ``record_list.csv`` with their reports, and with the diagnoses of their stays."""
        table = stream_rows(next(_tables(self.root)), REQUIRED)
        rows = Keyed(((text(row["study_id"]) or "", row) for row in table), KEPT)
        sources = Spool(self._with_diagnoses(source, rows.get(source.record_id)) for source in super().sources())
        published = {source.patient_id for source in sources if source.fold}
        return Spool(source if source.fold or source.patient_id in published else _train(source) for source in sources)

    def _with_diagnoses(self, source: Source, row: Row) -> Source:
        if source.problem:
            return source
        try:
            return _add(source, row)
        except RecordError as error:
            return replace(source, problem=str(error))


def _tables(root: Path) -> Iterator[Path]:
    """Yield the paths at which the table exists, the nearest first."""
    above = root.resolve().parent
    folders = [root, above, *sorted(above.glob(f"{FOLDER}*"), key=str)]
    for folder in folders:
        if (folder / TABLE).is_file():
            yield folder / TABLE


def _add(source: Source, row: Row) -> Source:
    lists = {name: parse_codes(row.get(name), name) for name in LISTS}
    fold = number(row, "fold")
    return replace(
        source,
        labels=lists[LABELS],
        age=number(row, "age"),
        sex=text(row.get("gender")),
        fold=_fold(fold) if row else None,
        extra={
            **source.extra,
            **{name: list(codes) for name, codes in lists.items()},
            **{name: text(row.get(name)) for name in IDS},
            **{name: number(row, name) for name in NUMBERS},
            **{name: _flag(row, name) for name in FLAGS},
            "icd_fold": fold,
        },
    )


def _train(source: Source) -> Source:
    """Put a patient whom the table does not list into a training fold, so validation and test stay as published."""
    return replace(source, fold=hashed_fold(source.patient_id or source.record_id) % TRAINING + 1)


def parse_codes(cell: Any, column: str) -> tuple[str, ...]:
    """Read a cell such as ``['I2510', 'E785']``. Each code is kept once, in order; an empty cell has no codes.

    Raises:
        RecordError: The cell is not the text of a list of strings.
    """
    cell = (cell or "").strip()
    if not cell:
        return ()
    if not _LIST.fullmatch(cell):
        raise RecordError(f"column {column} holds {cell[:40]!r}", "a list such as ['I2510', 'E785']")
    return tuple(dict.fromkeys(code.strip() for code in _ITEM.findall(cell) if code.strip()))


def _fold(fold: float | None) -> int | None:
    """Convert the table's fold to 1-10: 18 (val) becomes 9, 19 (test) becomes 10, any other a training fold."""
    if fold is None or not fold.is_integer() or not 0 <= fold <= TEST:
        raise RecordError(f"column fold holds {fold}", f"a whole number from 0 to {TEST}")
    return {VALIDATION: 9, TEST: 10}.get(int(fold), int(fold) % TRAINING + 1)


def _flag(row: Mapping[str, Any], column: str) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get((text(row.get(column)) or "").lower())
