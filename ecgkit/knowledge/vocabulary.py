"""The vocabulary: which names mean the same entity, and which entity is a subtype of which. A file that can be edited.

A YAML file lists each entity with its other names (aliases) and, for a subtype, its parent:

    entities:
      atrial fibrillation: {aliases: [afib, auricular fibrillation], parent: supraventricular arrhythmia}
    ignored: [normal variant]

An entity may have codes of its own, ``codes: {scp_ecg: AFIB, snomed_ct: [164889003], icd10: I48}``. For the others,
those of the lexicon hold (`ecgkit.knowledge.codes`). A CSV file has one row per name: ``name,entity,parent``, and
columns of codes if there are any; a row with an empty entity is ignored. Applying an edited file calls no model.
Source: the synonym and superclass maps of K-MERL (arXiv 2502.17900), which are not public themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ecgkit.config import read_yaml
from ecgkit.datasets.tables import stream_rows
from ecgkit.errors import ConfigError
from ecgkit.knowledge.codes import SYSTEMS, Codes, codes_from
from ecgkit.knowledge.mentions import normalise_name


@dataclass(frozen=True)
class Vocabulary:
    """Names, entities and their parents.

    Args:
        entity_of: Entity by name, including the entities' own names.
        parent_of: Parent by entity, for entities that have one.
        ignored: Names that are not entities.
        codes: Codes by entity, for entities that have codes of their own.
    """

    entity_of: Mapping[str, str]
    parent_of: Mapping[str, str] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()
    codes: Mapping[str, Codes] = field(default_factory=dict)

    @property
    def entities(self) -> tuple[str, ...]:
        """All entities, in alphabetical order."""
        return tuple(sorted({*self.entity_of.values(), *self.parent_of.values()}))

    def ancestors(self, entity: str) -> tuple[str, ...]:
        """Return an entity's parent, the parent's parent, and so on."""
        found: list[str] = []
        while entity in self.parent_of:
            entity = self.parent_of[entity]
            found.append(entity)
        return tuple(found)


def make_vocabulary(
    aliases: Mapping[str, str],
    parents: Mapping[str, str],
    ignored: frozenset[str] = frozenset(),
    source: str = "",
    codes: Mapping[str, Codes] = {},
) -> Vocabulary:
    """Check the maps of a vocabulary and join them.

    Args:
        aliases: Entity by name.
        parents: Parent by entity.
        ignored: Names that are not entities.
        source: Origin of the maps, for messages.
        codes: Codes by entity, for entities that have codes of their own.

    Raises:
        ConfigError: A name stands for two things, or an entity is its own ancestor.
    """
    entity_of = {**aliases, **{entity: entity for entity in (*aliases.values(), *parents, *parents.values())}}
    for name, entity in aliases.items():
        if entity_of[name] != entity:
            raise ConfigError(f"{source}: {name!r} is an entity and also another name of {entity!r}")
    if both := ignored & entity_of.keys():
        raise ConfigError(f"{source}: {min(both)!r} is ignored but also in use")
    for start in parents:
        seen, entity = {start}, start
        while entity in parents:
            entity = parents[entity]
            if entity in seen:
                raise ConfigError(f"{source}: {entity!r} is its own ancestor", remedy="Remove one of its parents.")
            seen.add(entity)
    return Vocabulary(dict(sorted(entity_of.items())), dict(sorted(parents.items())), ignored, dict(codes))


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a vocabulary from a YAML or CSV file.

    Raises:
        ConfigError: The file cannot be read, or contradicts itself.
        DatasetError: A CSV file is missing or lacks a column.
    """
    if path.suffix.lower() == ".csv":
        return _of_rows(path)
    values = read_yaml(path)
    entities = values.get("entities")
    if set(values) - {"entities", "ignored"} or not isinstance(entities, dict):
        raise ConfigError(f"{path} holds {', '.join(map(str, values))}", "the keys entities and ignored")
    aliases: dict[str, str] = {}
    parents: dict[str, str] = {}
    codes: dict[str, Codes] = {}
    for name, body in entities.items():
        body = body or {}
        if not isinstance(body, dict) or set(body) - {"aliases", "parent", "reports", "codes"}:
            raise ConfigError(f"{path}: entity {name!r} holds {body!r:.60}", "aliases (a list), parent and codes")
        entity = _name(name, path)
        for alias in (entity, *_names(body.get("aliases"), path)):
            if aliases.setdefault(alias, entity) != entity:
                raise ConfigError(f"{path}: {alias!r} belongs to both {aliases[alias]!r} and {entity!r}")
        if body.get("parent"):
            parents[entity] = _name(body["parent"], path)
        if body.get("codes"):
            codes[entity] = _codes(entity, body["codes"], path)
    return make_vocabulary(aliases, parents, frozenset(_names(values.get("ignored"), path)), str(path), codes)


def _of_rows(path: Path) -> Vocabulary:
    aliases: dict[str, str] = {}
    parents: dict[str, str] = {}
    codes: dict[str, Codes] = {}
    ignored = set()
    for row in stream_rows(path, ("name", "entity", "parent")):
        name, entity, parent = (row[column] for column in ("name", "entity", "parent"))
        if not entity:
            ignored.add(_name(name, path))
            continue
        aliases[_name(name, path)] = entity = _name(entity, path)
        if parent and parents.setdefault(entity, _name(parent, path)) != _name(parent, path):
            raise ConfigError(f"{path}: {entity!r} has two parents, {parents[entity]!r} and {parent!r}")
        if own := {system: row[system] for system in SYSTEMS if row.get(system)}:
            codes[entity] = _codes(entity, own, path)
    return make_vocabulary(aliases, parents, frozenset(ignored), str(path), codes)


def as_yaml(vocabulary: Vocabulary, counts: Mapping[str, int]) -> dict[str, object]:
    """Return a vocabulary in the form that `read_vocabulary` reads, the most frequent entity first.

    Args:
        vocabulary: The vocabulary.
        counts: Number of reports by entity, written beside each entity; `read_vocabulary` ignores them.
    """
    aliases: dict[str, list[str]] = {}
    for name, entity in vocabulary.entity_of.items():
        aliases.setdefault(entity, []).extend([name] if name != entity else [])
    entities: dict[str, object] = {}
    for entity in sorted(aliases, key=lambda e: (-counts.get(e, 0), e)):
        body: dict[str, object] = {"reports": counts.get(entity, 0)}
        if aliases[entity]:
            body["aliases"] = aliases[entity]
        if entity in vocabulary.parent_of:
            body["parent"] = vocabulary.parent_of[entity]
        if entity in vocabulary.codes:
            body["codes"] = vocabulary.codes[entity].to_dict()
        entities[entity] = body
    return {"entities": entities, "ignored": sorted(vocabulary.ignored)}


def _codes(entity: str, values: object, path: Path) -> Codes:
    try:
        if not isinstance(values, Mapping):
            raise ValueError(f"{str(values)[:40]!r} holds no codes by system")
        return codes_from(values)
    except ValueError as error:
        raise ConfigError(f"{path}: codes of {entity!r}: {error}", "such as {snomed_ct: 164889003}") from None


def _names(values: object, path: Path) -> list[str]:
    if values is None:
        return []
    if not isinstance(values, list):
        raise ConfigError(f"{path}: {values!r:.60}", "a list of names")
    return [_name(value, path) for value in values]


def _name(value: object, path: Path) -> str:
    name = normalise_name(str(value if value is not None else ""))
    if not name:
        raise ConfigError(f"{path}: {str(value)[:60]!r} is not a name", "a short phrase of letters and digits")
    return name
