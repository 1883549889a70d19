"""Finds the records that a search is about, in the order in which the page lists them."""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.browsing.catalogue import Catalogue
from ecgkit.browsing.results import KINDS
from ecgkit.cohort.find import find_cohort
from ecgkit.errors import ConfigError

TEXTS = ("record_id", "patient_id", "report")  # columns in which words are looked for
KEPT = 16  # searches whose answers are kept


@dataclass(frozen=True)
class Search:
    """What is searched for. An empty field restricts nothing.

    Args:
        text: Part of a record id, a patient id or a report, whatever the case.
        where: A statement; see `ecgkit.cohort.statement`.
        label: Code of a label.
        flag: A quality flag.
        entity: An entity that the report states.
        fold: A fold.
        result: Number of the result whose errors are meant, from 0.
        target: A class or predicted number of the result; empty for all.
        error: A kind of error, of `ecgkit.browsing.results.KINDS`.
        order: ``error`` for the largest errors first; empty for the order of the store.
    """

    text: str = ""
    where: str = ""
    label: str = ""
    flag: str = ""
    entity: str = ""
    fold: str = ""
    result: str = ""
    target: str = ""
    error: str = ""
    order: str = ""

    @classmethod
    def of(cls, asked: Any) -> "Search":
        """Return a search from the parameters of a request; those that it does not know are left out."""
        return cls(**{field.name: str(asked.get(field.name, "")).strip() for field in fields(cls)})

    @property
    def statements(self) -> list[str]:
        """The statements that all must be true."""
        items = {"labels": self.label, "flags": self.flag, "entity": self.entity}
        named = [_quoted(f"{column}:{item}") for column, item in items.items() if item]
        fold = [f'fold = "{self.fold.replace(chr(34), "")}"'] if self.fold else []
        return [*([self.where] if self.where else []), *named, *fold]


@dataclass(frozen=True)
class Found:
    """The records that a search found.

    Args:
        rows: Rows of the store in the order of the page; None for all, in the order of the store.
        records: Number of records found.
        unknown: Number of records of which a statement is neither true nor false.
        errors: Error of each record of the store by the chosen result, ``[R]``; None if no result is chosen.
    """

    rows: NDArray[np.int64] | None
    records: int
    unknown: int
    errors: NDArray[np.float64] | None

    def page(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return the rows from one place to another."""
        stop = min(stop, self.records)
        return np.arange(start, stop) if self.rows is None else self.rows[start:stop]


class Searcher:
    """Finds records, and keeps the last answers.

    Args:
        catalogue: What is searched.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.find = lru_cache(KEPT)(self._find)
        self._statement = lru_cache(KEPT)(self._found_by_statement)

    def _find(self, search: Search) -> Found:
        """Find records.

        Raises:
            ConfigError: A statement cannot be read, or names what the store lacks.
            ResultsError: The result predicts numbers, or lacks the class.
        """
        catalogue = self.catalogue
        errors = self._errors(search)
        if search == Search(result=search.result, target=search.target):
            return Found(None, len(catalogue.records), 0, errors)
        catalogue.wait()
        kept, unknown = np.ones(len(catalogue.records), bool), 0
        for statement in search.statements:
            rows, undecided = self._statement(statement)
            inside = np.zeros_like(kept)
            inside[rows] = True
            kept &= inside
            unknown = max(unknown, undecided)
        if search.text:
            columns = [name for name in TEXTS if name in catalogue.records.columns]
            kept &= np.any([catalogue.records.containing(name, search.text) for name in columns], axis=0)
        if search.error:
            kept &= self._wrong(search)
        found = np.flatnonzero(kept)
        if search.order == "error" and errors is not None:
            found = found[np.isfinite(errors[found])]
            found = found[np.argsort(-errors[found], kind="stable")]
        return Found(found, len(found), unknown, errors)

    def _found_by_statement(self, statement: str) -> tuple[NDArray[np.int64], int]:
        found = find_cohort(self.catalogue.records, statement, self.catalogue.extraction)
        return found.rows, found.unknown

    def _errors(self, search: Search) -> NDArray[np.float64] | None:
        result = self.catalogue.result(search.result)
        if result is None or not (search.error or search.order or search.target):
            return None
        return result.errors(search.target)

    def _wrong(self, search: Search) -> NDArray[np.bool_]:
        result = self.catalogue.result(search.result)
        if result is None or search.error not in KINDS:
            raise ConfigError(f"error {search.error!r:.20}", f"one of {', '.join(KINDS)}, and a result")
        return result.wrong(search.error, search.target)


def _quoted(name: str) -> str:
    """Return a name in the quotes that it does not contain."""
    return f"'{name}'" if '"' in name else f'"{name}"'
