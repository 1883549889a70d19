"""Find the records of a store that a statement is true of."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.atomic import atomic_file
from ecgkit.cohort.names import Answer, Names
from ecgkit.cohort.statement import Joined, Node, parse
from ecgkit.store.products import StoreFolder
from ecgkit.store.records import RecordTable

COLUMNS = ("record_id", "patient_id", "fold")


@dataclass(frozen=True)
class Cohort:
    """The records that a statement is true of.

    Args:
        statement: The statement.
        rows: Their rows of the store, ``[n]``, in order.
        table: Record id, patient id and fold of each.
        records: Number of records of the store.
        unknown: Number of records of which the statement is neither true nor false: their report was not read
            completely, or is unsure of an entity, or a column has no value.
        meanings: What each term of the statement means in the store.
        extraction: Where the entities come from, in words; empty if the statement names none.
    """

    statement: str
    rows: NDArray[np.int64]
    table: pd.DataFrame
    records: int
    unknown: int
    meanings: Mapping[str, str]
    extraction: str

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def patients(self) -> int:
        """Number of known patients."""
        return int(self.table["patient_id"].nunique())

    @property
    def folds(self) -> dict[int, int]:
        """Number of records by fold."""
        counts = self.table["fold"].value_counts().sort_index()
        return dict(zip(counts.index.astype(int).tolist(), counts.astype(int).tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Return the cohort as plain values."""
        return {
            "statement": self.statement,
            "records": len(self),
            "patients": self.patients,
            "of": self.records,
            "unknown": self.unknown,
            "folds": self.folds,
            "meanings": dict(self.meanings),
            "extraction": self.extraction,
            "record_ids": self.table["record_id"].tolist(),
        }

    def write(self, path: Path) -> None:
        """Write record id, patient id and fold of each record as CSV.

        Raises:
            OutputError: The file cannot be written.
        """
        with atomic_file(path) as staging:
            self.table.to_csv(staging, index=False)


def find_cohort(store: StoreFolder, statement: str, entities: str = "") -> Cohort:
    """Find the records of a store that a statement is true of; see `ecgkit.cohort.statement`.

    Args:
        store: The store.
        statement: The statement.
        entities: Name of the extraction whose entities are meant; empty for the only one.

    Raises:
        ConfigError: The statement cannot be read, or names what the store lacks.
        StoreError: There are no entities, or several extractions and none is chosen.
    """
    records = store if isinstance(store, RecordTable) else RecordTable(store.path)
    names = Names(records, entities)
    answer = _answer(parse(statement), names)
    rows = np.flatnonzero(answer.yes & answer.known)
    table = records.frame(COLUMNS, rows)
    named = any(meaning.startswith("entity ") for meaning in names.meanings.values())
    origin = str(names.origin) if named else ""
    return Cohort(statement, rows, table, len(records), int((~answer.known).sum()), dict(names.meanings), origin)


def _answer(node: Node, names: Names) -> Answer:
    """Return the answer of each record. ``and``, ``or`` and ``not`` are those of Kleene's logic of three values."""
    if not isinstance(node, Joined):
        return names.answer(node)
    parts = [_answer(part, names) for part in node.parts]
    if node.join == "not":
        return Answer(~parts[0].yes, parts[0].known)
    return reduce(_both if node.join == "and" else _either, parts)


def _both(one: Answer, other: Answer) -> Answer:
    denied = (one.known & ~one.yes) | (other.known & ~other.yes)
    yes = one.yes & other.yes & one.known & other.known
    return Answer(yes, (one.known & other.known) | denied)


def _either(one: Answer, other: Answer) -> Answer:
    yes = (one.yes & one.known) | (other.yes & other.known)
    return Answer(yes, (one.known & other.known) | yes)
