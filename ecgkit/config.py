"""Configs are frozen dataclasses. This module builds them from mappings, changes them by ``a.b=c``, and writes YAML.

pydantic validates and converts the values. This module adds two things: an unknown key is an error that suggests the
nearest known one, and each message says where in the config the problem is.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from ecgkit.errors import ConfigError, did_you_mean

C = TypeVar("C")

MOST_VALUES = 1_000_000  # in one YAML file
SHOWN = 80  # longest value that a message shows, in characters
# PyYAML lets some Python errors through: ``!!bool x`` is a KeyError, ``!!timestamp x`` an AttributeError, and too deep
# nesting a RecursionError.
YAML_ERRORS = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError)

_adapters: dict[type, TypeAdapter[Any]] = {}


def build(kind: type[C], values: Mapping[str, Any], *, source: str = "config") -> C:
    """Build a dataclass, including nested ones, from a mapping. Fields that are left out keep their defaults.

    Args:
        kind: The dataclass.
        values: Its fields by name.
        source: Origin of the values, for messages.

    Raises:
        ConfigError: `values` is not a mapping, a key is unknown, or a value has the wrong type or is not allowed.
    """
    _check_keys(kind, values, source)
    try:
        return cast(C, _adapter(kind).validate_python(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        # A rule of the dataclass itself names field and value; the whole dataclass as the value would hide it.
        value = "" if first["type"] == "value_error" else f" = {_short(first['input'])}"
        place = f"{where or kind.__name__}{value}: " if where or value else ""
        raise ConfigError(f"{source}: {place}{message[:1].lower()}{message[1:]}") from None


def merge(config: C, values: Mapping[str, Any], *, source: str = "config") -> C:
    """Return a copy of `config` with the fields in `values` replaced. Nested fields are merged one by one.

    Raises:
        ConfigError: A key or value is not valid.
    """
    _check_keys(type(config), values, source)
    return build(type(config), _merged(to_dict(config), values), source=source)


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {k: _merged(old[k], v) for k, v in new.items() if isinstance(v, Mapping) and isinstance(old.get(k), dict)}
    return {**old, **new, **both}


def _adapter(kind: type) -> TypeAdapter[Any]:
    """Return pydantic's adapter of a dataclass; making it takes much longer than using it."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def override(config: C, assignments: Sequence[str]) -> C:
    """Return a copy of `config` changed by assignments such as ``depth=4``, ``signal.fs=100`` or ``signal={fs: 100}``.

    A mapping changes only the fields that it names, as in `merge`. A field that is a plain mapping takes any key.

    Raises:
        ConfigError: An assignment is malformed, or its key or value is not valid.
    """
    values = to_dict(config)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment!r}", "KEY=VALUE, such as depth=4 or signal.fs=100")
        source = f"--set {key.strip()}"
        values = _merged(values, _assigned(type(config), key.strip().split("."), _parse(text, source), source))
    return build(type(config), values, source="--set")


def _assigned(kind: type, path: list[str], value: Any, source: str) -> dict[str, Any]:
    """Return an assignment as a nested mapping, such as ``{"signal": {"fs": 100}}``; its keys are checked."""
    key, *rest = path
    _check_keys(kind, {key: None if rest else value}, source)
    if not rest:
        return {key: value}
    nested = _nested(kind).get(key)
    if get_origin(get_type_hints(kind)[key]) is dict:
        return {key: _below(rest, value)}
    if nested is None:
        raise ConfigError(f"{source}: {key} has no fields of its own", f"{key}=VALUE")
    return {key: _assigned(_meant(nested, {rest[0]: value}), rest, value, source)}


def _below(path: Sequence[str], value: Any) -> Any:
    return {path[0]: _below(path[1:], value)} if path else value


def _parse(text: str, source: str) -> Any:
    try:
        return _load(text)
    except YAML_ERRORS as error:
        raise ConfigError(f"{source} = {_short(text)} cannot be read ({_reason(error)})", "a YAML value") from None


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain mappings, lists and scalars, ready for YAML and JSON."""
    plain = _adapter(type(config)).dump_python(config, mode="json")
    assert isinstance(plain, dict)
    return plain


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        values = _load(path.read_text(encoding="utf-8"))
    except (OSError, *YAML_ERRORS) as error:
        raise ConfigError(f"{path} cannot be read ({_reason(error)})", "a YAML file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}", "a YAML mapping of settings")
    return values


def _load(text: str) -> Any:
    """Return what a YAML text holds.

    Raises:
        yaml.YAMLError: It is no YAML, or its aliases stand for more than `MOST_VALUES` values: a few lines of aliases
            of aliases could otherwise take all memory and time.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"with its aliases it holds more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of values in a node, those behind aliases counted each time."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise yaml.YAMLError("an alias contains itself")
        return sizes[id(node)]
    sizes[id(node)] = 0  # it is being counted
    below: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        below = node.value
    elif isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    sizes[id(node)] = 1 + sum(_size(part, sizes) for part in below)
    return sizes[id(node)]


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as YAML, keys in their own order."""
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), encoding="utf-8")


@cache
def source_hash(names: tuple[str, ...]) -> str:
    """Return a hash of the source code of modules and packages, which changes when a release computes differently.

    Args:
        names: Their names, such as ``ecgkit.signal``.
    """
    digest = hashlib.sha256()
    for name in names:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        for file in sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that identify these values: the start of the SHA-256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=to_dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _reason(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _check_keys(kind: type, values: Mapping[str, Any], source: str) -> None:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source} holds {_short(values)}", "a mapping of settings")
    known = [f.name for f in dataclasses.fields(kind)]
    nested = _nested(kind)
    for key, value in values.items():
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise ConfigError(f"{source}: unknown key {key!r}", f"one of {', '.join(known)}", hint)
        if key in nested and isinstance(value, Mapping):
            _check_keys(_meant(nested[key], value), value, f"{source}: {key}")


def _nested(kind: type) -> dict[str, list[type]]:
    """Return the fields of a dataclass that are dataclasses themselves, with the dataclasses that each may be."""
    found: dict[str, list[type]] = {}
    for name, hint in get_type_hints(kind).items():
        for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                found.setdefault(name, []).append(part)
    return found


def _meant(kinds: Sequence[type], values: Mapping[str, Any]) -> type:
    """Return the dataclass that knows most of the keys; the first of several."""
    return max(kinds, key=lambda kind: sum(f.name in values for f in dataclasses.fields(kind)))
