"""What the names of a statement mean in a store: entities of its reports, items of its list columns, and columns.

The answer for a record is yes, no or unknown. It is unknown where the report was not read completely or is unsure of
the entity, and where a column has no value.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.cohort.statement import Term
from ecgkit.errors import ConfigError, did_you_mean
from ecgkit.knowledge.extractions import Extraction, chosen_extraction, extraction_of, extractions
from ecgkit.knowledge.labels import PRESENT, UNCERTAIN, VOCABULARY, Entities, label_folder, read_labels
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.mentions import normalise_name
from ecgkit.knowledge.statements import clean
from ecgkit.knowledge.vocabulary import read_vocabulary
from ecgkit.store.records import RecordTable

ENTITY = "entity"  # prefix of a name that is an entity
HIDDEN = frozenset({"report", "rpeaks", "likelihoods", "steps", "offsets"})  # free text, and lists of numbers
SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
STATES = {"absent": 0, "present": PRESENT, "uncertain": UNCERTAIN}


@dataclass(frozen=True)
class Answer:
    """The answer of each record, bool ``[R]`` both: `yes`, and whether it is `known`."""

    yes: NDArray[np.bool_]
    known: NDArray[np.bool_]


@dataclass
class Names:
    """The names of a store.

    Args:
        store: The store.
        extraction: Name of the extraction whose entities are meant; empty for the only one.
        meanings: What each term turned out to mean, by its text; filled by `answer`.
    """

    store: RecordTable
    extraction: str = ""
    meanings: dict[str, str] = field(default_factory=dict)

    def answer(self, term: Term) -> Answer:
        """Return the answer of each record to a term.

        Raises:
            ConfigError: The name is unknown, means two things, or cannot be compared in this way.
            StoreError: Entities are asked for, and there are none, or several extractions and none is chosen.
        """
        prefix, colon, rest = term.name.partition(":")
        if colon and prefix.strip().lower() == ENTITY:
            return self._entity(self._known_entity(rest.strip()), term)
        if colon and prefix.strip() in self.lists:
            return self._item(prefix.strip(), rest.strip(), term)
        found = self._meanings(term.name)
        if len(found) > 1:
            ways = " or ".join(f'"{way}"' for way in found)
            raise ConfigError(f"--where {term.name!r} means several things", ways)
        if not found:
            raise self._unknown(term.name)
        return next(iter(found.values()))(term)

    @cached_property
    def entities(self) -> Entities | None:
        """The labels of the extraction; None if there is none, or if it is not clear which is meant."""
        found = extractions(self.store)
        if not self.extraction and len(found) != 1:
            return None
        chosen = chosen_extraction(self.store, self.extraction, "--entities NAME")
        self.extraction = chosen
        return read_labels(self.store, chosen)

    @property
    def origin(self) -> Extraction | None:
        """Where the entities come from; None if no extraction was read."""
        return None if self.entities is None else extraction_of(self.entities, self.extraction)

    @cached_property
    def lists(self) -> tuple[str, ...]:
        """List columns of the record table, such as labels and flags."""
        return tuple(name for name in self.store.lists if name not in HIDDEN)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the record table that hold one value per record."""
        return tuple(name for name in self.store.columns if name not in HIDDEN and name not in self.store.lists)

    def _meanings(self, name: str) -> dict[str, Callable[[Term], Answer]]:
        """Return what a name may mean, by the name that means this alone."""
        found: dict[str, Callable[[Term], Answer]] = {}
        if name in self.columns:
            return {name: self._column}
        if (entity := self._entity_of(name)) is not None:
            found[f"{ENTITY}:{entity}"] = lambda term: self._entity(entity, term)
        for column in self.lists:
            if (item := _same(name, self.store.items(column).names)) is not None:
                found[f"{column}:{item}"] = lambda term, c=column, i=item: self._item(c, i, term)  # type: ignore[misc]
        return found

    def _entity_of(self, name: str) -> str | None:
        """Return the entity of a name: by its spelling, by the vocabulary, or by what the lexicon reads in it."""
        if self.entities is None:
            return None
        known = {normalise_name(entity): entity for entity in self.entities.names}
        if (plain := normalise_name(name)) in known:
            return known[plain]
        return next((known[one] for one in map(normalise_name, self._synonyms(name)) if one in known), None)

    def _synonyms(self, name: str) -> list[str]:
        """Return the entities that a name may stand for: by the vocabulary, and by what the lexicon reads in it."""
        path = label_folder(self.store, self.extraction)[0] / VOCABULARY
        aliases = read_vocabulary(path).entity_of if path.is_file() else {}
        known = [aliases[plain]] if (plain := normalise_name(name)) in aliases else []
        lexicon = LexiconBackend()  # reads findings, and rhythms by their first word, such as "paced"
        read = (lexicon.read_text(clean(text)) for text in (name, f"{name} rhythm"))
        return list(dict.fromkeys([*known, *(mention.name for mentions in read for mention in mentions)]))

    def _known_entity(self, name: str) -> str:
        if self.entities is None:
            chosen_extraction(self.store, self.extraction, "--entities NAME")
        found = self._entity_of(name)
        if found is None:
            raise self._unknown(name)
        return found

    def _entity(self, entity: str, term: Term) -> Answer:
        assert self.entities is not None
        self.meanings[str(term)] = f"entity {entity}" + (f" {term.sign} {term.value}" if term.sign else "")
        values = self.entities.values[:, self.entities.names.index(entity)]
        if not term.sign:
            return Answer(values == PRESENT, self.entities.complete & (values != UNCERTAIN))
        state = STATES.get(term.value.lower())
        if state is None or term.sign not in ("=", "!="):
            raise ConfigError(f"--where {term}", f"= or != with one of {', '.join(STATES)}")
        return Answer(SIGNS[term.sign](values, state), self.entities.complete)

    def _item(self, column: str, item: str, term: Term) -> Answer:
        if term.sign:
            raise ConfigError(f"--where {term}", f"{item} alone, for the column {column} is a list")
        items = self.store.items(column)
        found = _same(item, items.names)
        if found is None:
            raise ConfigError(f"--where: {column} has no {item!r}", remedy=did_you_mean(item, items.names))
        self.meanings[str(term)] = f"{column} {found}"
        return Answer(items.has(found), np.ones(items.records, bool))

    def _column(self, term: Term) -> Answer:
        values = self.store.series(term.name)
        self.meanings[str(term)] = f"column {term}"
        known = values.notna().to_numpy()
        if not term.sign:
            if not pd.api.types.is_bool_dtype(values):
                raise ConfigError(f"--where {term.name}", f"a comparison, such as {term.name} = {_example(values)}")
            return Answer(values.fillna(False).to_numpy(bool), known)
        return Answer(_compare(values, term) & known, known)

    def _unknown(self, name: str) -> ConfigError:
        """Return the error for a name that means nothing."""
        if self.entities is None and len(extractions(self.store)) > 1:
            chosen_extraction(self.store, "", "--entities NAME")
        if self.entities is not None and (meant := self._synonyms(name)):
            found = f"--where {name!r} is the entity {meant[0]!r}, which extraction {self.extraction} does not hold"
            raise ConfigError(found, remedy="Too few reports state it; extract again with a lower --min-count.")
        known: list[str] = [*self.columns, *(item for column in self.lists for item in self.store.items(column).names)]
        known += [] if self.entities is None else list(self.entities.names)
        has = "an entity, a label or a column of the store"
        if self.entities is None:
            has = "a label or a column of the store (its reports were not read: ecgkit extract-knowledge)"
        return ConfigError(f"--where {name!r} is unknown", has, did_you_mean(name, known))


def _same(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is spelt alike, whatever the case; the exact one first."""
    names: Sequence[str] = list(known)
    return name if name in names else next((one for one in names if one.lower() == name.lower()), None)


def _compare(values: "pd.Series[Any]", term: Term) -> NDArray[np.bool_]:
    """Return the comparison of a column with a value, bool ``[R]``."""
    if pd.api.types.is_numeric_dtype(values):
        try:
            wanted: Any = float(term.value)
        except ValueError:
            raise ConfigError(f"--where {term}", f"a number, for the column {term.name} holds numbers") from None
        return np.asarray(SIGNS[term.sign](values.to_numpy(np.float64, na_value=np.nan), wanted), bool)
    if pd.api.types.is_datetime64_any_dtype(values):
        try:
            wanted = pd.Timestamp(term.value, tz=getattr(values.dt, "tz", None))
        except ValueError:
            raise ConfigError(f"--where {term}", f"a date such as 2020-01-31, for {term.name} holds dates") from None
        return SIGNS[term.sign](values, wanted).to_numpy(bool)
    if term.sign not in ("=", "!="):
        raise ConfigError(f"--where {term}", f"= or !=, for the column {term.name} holds text")
    texts = values.map(lambda value: "" if value is None or value is pd.NA else str(value).lower())
    return np.asarray(SIGNS[term.sign](texts.to_numpy(object), term.value.lower()), bool)


def _example(values: "pd.Series[Any]") -> str:
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(values)
    return f"{known.iloc[0]}" if len(known) and numeric else "VALUE"
