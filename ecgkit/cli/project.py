"""Defaults of options from the environment and from the project file ``ecgkit.toml``.

An option that is given on the command line counts first, then the environment variable ``ECGKIT_COMMAND_OPTION``, then
the project file of the current folder, then the default of the command. The file has one table per command, with the
long names of its options::

    [pretrain]
    preset = "small"
    set = ["recipe.lr=1e-3"]

    [beats.score]
    tolerance = [150]
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ecgkit.choices import choose
from ecgkit.errors import ConfigError, did_you_mean

FILE = "ecgkit.toml"
PREFIX = "ECGKIT"
HIDDEN = "run"  # subcommand that a group runs by itself; its options are written as those of the group
NOT_SET = ("help", "json", "version", "debug", "install-completion", "show-completion")


def name_variables(command: Any, before: str = PREFIX) -> None:
    """Give every option its environment variables: ``ECGKIT_COMMAND_OPTION``, by option and by parameter name."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and option_name(parameter) not in NOT_SET:
            names = (option_name(parameter), str(parameter.name))
            parameter.envvar = list(dict.fromkeys(f"{before}_{variable(name)}" for name in names))
    for name, below in getattr(command, "commands", {}).items():
        name_variables(below, f"{before}_{variable(name)}")
        if name == HIDDEN:
            for parameter in below.params:
                if isinstance(parameter.envvar, list):
                    short = [each.replace(f"{before}_{variable(HIDDEN)}_", f"{before}_") for each in parameter.envvar]
                    parameter.envvar = [*short, *parameter.envvar]


def variable(name: str) -> str:
    """Return a name as part of an environment variable."""
    return name.replace("-", "_").upper()


def option_name(parameter: Any) -> str:
    """Return the long name of an option without its dashes, such as ``probe-task``."""
    return max(parameter.opts, key=len).lstrip("-")


def read_project(program: Any, folder: Path = Path()) -> dict[str, Any]:
    """Return the defaults that the project file sets, in the form of click's ``default_map``.

    Raises:
        ConfigError: The file cannot be read, or names a command or an option that does not exist.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{FILE} cannot be read ({error})", "a TOML file with one table per command") from None
    return _checked(values, program, "")


def _checked(values: Mapping[str, Any], command: Any, where: str) -> dict[str, Any]:
    """Return the values of one table by parameter name, and those of the tables below it."""
    below = getattr(command, "commands", {})
    options = _options(command) | (_options(below[HIDDEN]) if HIDDEN in below else {})
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("_", "-")
        if name in below and isinstance(value, Mapping):
            found.setdefault(name, {}).update(_checked(value, below[name], f"{where}{name}."))
        elif name in options:
            _check_value(value, options[name], f"{where}{name}")
            into = found if name in _options(command) else found.setdefault(HIDDEN, {})
            into[options[name].name] = value
        else:
            raise _unknown(key, where, [*below, *options])
    return found


def _options(command: Any) -> dict[str, Any]:
    named = {option_name(p): p for p in command.params if p.param_type_name == "option"}
    return {name: parameter for name, parameter in named.items() if name not in NOT_SET}


def _check_value(value: Any, parameter: Any, where: str) -> None:
    several = parameter.multiple or parameter.nargs != 1
    if isinstance(value, Mapping) or isinstance(value, list) != several:
        form = "a list of values" if several else "one value"
        raise ConfigError(f"{FILE}: {where} is {value!r}", form)
    if parameter.is_flag and not isinstance(value, bool):
        raise ConfigError(f"{FILE}: {where} is {value!r}", "true or false")


def _unknown(key: str, where: str, known: list[str]) -> ConfigError:
    what = f"the option {where}{key}" if where else f"the command {key}"
    return ConfigError(f"{FILE} sets {what}, which does not exist", remedy=did_you_mean(key, known))


def note_origins(context: Any) -> None:
    """Note each option of a command that came from the environment or the project file, for its first line."""
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        settable = parameter.param_type_name == "option" and option_name(parameter) not in NOT_SET
        if settable and source is not None and source.name in _ORIGINS:
            value = context.params[str(parameter.name)]
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
            choose(f"--{option_name(parameter)}", shown, _origin(source.name, parameter))


_ORIGINS = ("ENVIRONMENT", "DEFAULT_MAP")


def _origin(source: str, parameter: Any) -> str:
    if source == "DEFAULT_MAP":
        return f"from {FILE}"
    names = [name for name in parameter.envvar or [] if os.environ.get(name)]
    return f"from {names[0]}" if names else "from the environment"


def origin_of(context: Any, parameter: Any) -> str:
    """Return in brackets where the value of an option came from; empty if it was typed."""
    source = context.get_parameter_source(str(parameter.name))
    return f" ({_origin(source.name, parameter)})" if source is not None and source.name in _ORIGINS else ""


def origins(context: Any) -> list[dict[str, str]]:
    """Return the options that environment and project file set, with where each comes from.

    Args:
        context: The context of the command at work.
    """
    program = context.find_root().command
    return list(_set_options(program, "", read_project(program)))


def _set_options(command: Any, name: str, values: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for parameter in command.params if name else ():
        variables = [each for each in parameter.envvar or [] if os.environ.get(each)]
        if variables:
            yield _row(name, parameter, os.environ[variables[0]], f"environment: {variables[0]}")
        elif parameter.name in values:
            yield _row(name, parameter, values[parameter.name], FILE)
    for word, below in getattr(command, "commands", {}).items():
        whole = name if word == HIDDEN else f"{name} {word}".strip()
        yield from _set_options(below, whole, values.get(word, {}))


def _row(command: str, parameter: Any, value: Any, source: str) -> dict[str, str]:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return {"command": command, "option": f"--{option_name(parameter)}", "value": shown, "from": source}
