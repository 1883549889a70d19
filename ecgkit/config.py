"""Configs are frozen dataclasses; here they are built from mappings, changed by ``a.b=c``, and written as YAML.

pydantic validates and coerces; what is added is that an unknown key is an error that names the nearest known one,
and that each message says where in the config it happened.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from ecgkit.errors import ConfigError, did_you_mean

C = TypeVar("C")


def build(kind: type[C], values: Mapping[str, Any], *, source: str = "config") -> C:
    """Build a dataclass, nested ones included, from a mapping; fields left out keep their defaults.

    Args:
        kind: The dataclass.
        values: Its fields by name.
        source: What the values come from, for messages.

    Raises:
        ConfigError: A key is unknown or a value is of the wrong type or not allowed.
    """
    _check_keys(kind, values, source)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or kind.__name__
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {where} = {first['input']!r}", message[:1].lower() + message[1:]) from None


def merge(config: C, values: Mapping[str, Any], *, source: str = "config") -> C:
    """Return a copy of `config` with the fields in `values` replaced, nested ones one by one.

    Raises:
        ConfigError: A key or value does not fit.
    """
    _check_keys(type(config), values, source)
    return build(type(config), _merged(to_dict(config), values), source=source)


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = {k: _merged(old[k], v) for k, v in new.items() if isinstance(v, Mapping) and isinstance(old.get(k), dict)}
    return {**old, **new, **both}


def override(config: C, assignments: Sequence[str]) -> C:
    """Return a copy of `config` changed by assignments such as ``depth=4`` or ``signal.fs=100``.

    Raises:
        ConfigError: An assignment is malformed, or its key or value does not fit.
    """
    values = to_dict(config)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"--set {assignment!r}", "KEY=VALUE, such as depth=4 or signal.fs=100")
        _assign(type(config), values, key.strip().split("."), yaml.safe_load(text), f"--set {key.strip()}")
    return build(type(config), values, source="--set")


def _assign(kind: type, values: dict[str, Any], path: list[str], value: Any, source: str) -> None:
    _check_keys(kind, {path[0]: value}, source)
    if len(path) == 1:
        values[path[0]] = value
        return
    nested = _nested(kind).get(path[0])
    if nested is None:
        raise ConfigError(f"{source}: {path[0]} has no parts", f"{path[0]}=VALUE")
    if values.get(path[0]) is None:
        values[path[0]] = {}
    _assign(nested, values[path[0]], path[1:], value, source)


def to_dict(config: Any) -> dict[str, Any]:
    """Return a config as plain mappings, lists and scalars, ready for YAML and JSON."""
    plain = TypeAdapter(type(config)).dump_python(config, mode="json")
    assert isinstance(plain, dict)
    return plain


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: The file is missing, is not YAML, or does not hold a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({str(error).splitlines()[0]})", "a YAML file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}", "a YAML mapping of settings")
    return values


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a mapping as YAML, keys in their own order."""
    path.write_text(yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True), encoding="utf-8")


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that stand for these values: the start of the SHA-256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=to_dict)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check_keys(kind: type, values: Mapping[str, Any], source: str) -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    nested = _nested(kind)
    for key, value in values.items():
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise ConfigError(f"{source}: unknown key {key!r}", f"one of {', '.join(known)}", hint)
        if key in nested and isinstance(value, Mapping):
            _check_keys(nested[key], value, f"{source}: {key}")


def _nested(kind: type) -> dict[str, type]:
    """Return the fields of a dataclass that hold a dataclass themselves, optional ones included."""
    found = {}
    for name, hint in get_type_hints(kind).items():
        for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
            if dataclasses.is_dataclass(part) and isinstance(part, type):
                found[name] = part
    return found
