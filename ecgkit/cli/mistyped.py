"""Errors of the command line in ecgkit's words: the option, the value found, the values allowed, and what was meant.

The library that parses the command line has texts of its own, such as ``0.5 is not in the range x>=1``. Here each of
its errors becomes a `ConfigError`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from ecgkit.cli.project import origin_of
from ecgkit.errors import ConfigError, did_you_mean

NOUNS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def in_own_words(command: Any) -> None:
    """Let the errors of one command, of its options and of its subcommands' names be `ConfigError`."""
    for parameter in command.params:
        parameter.process_value = partial(_value, parameter.process_value, parameter)
    command.parse_args = partial(_options, command.parse_args, command)
    if hasattr(command, "resolve_command"):
        command.resolve_command = partial(_subcommand, command.resolve_command, command)


def _kind(error: Exception) -> str:
    """Return the name of an error of the library, or of the one that it is derived from; empty for other errors."""
    known = ("MissingParameter", "BadParameter", "NoSuchOption", "BadOptionUsage", "NoArgsIsHelpError", "UsageError")
    names = [kind.__name__ for kind in type(error).__mro__]
    return next((name for name in known if name in names), "")


def _value(process: Callable[..., Any], parameter: Any, context: Any, value: Any) -> Any:
    """Return an option's value.

    Raises:
        ConfigError: The value is missing, or is not allowed.
    """
    if _is_empty_path(parameter, value):
        raise ConfigError(
            f"{_name(parameter)} is empty{origin_of(context, parameter)}",
            remedy="Give a path. If the command names a variable of the shell, the variable is not set.",
        )
    try:
        return process(context, value)
    except Exception as error:
        name, kind = _name(parameter), _kind(error)
        if kind == "MissingParameter":
            raise ConfigError(f"{context.command_path} needs {name}", remedy=_help(context)) from None
        if kind != "BadParameter":
            raise
        shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        found = f"{name} {shown!r}{origin_of(context, parameter)}"
        allowed, choices = _allowed(parameter)
        if not allowed:
            raise ConfigError(f"{found}: {getattr(error, 'message', error)}", remedy=_help(context)) from None
        raise ConfigError(found, allowed, did_you_mean(shown, choices)) from None


def _is_empty_path(parameter: Any, value: Any) -> bool:
    """Return whether an argument or a path is given as an empty text, which would stand for the current folder."""
    about = getattr(parameter, "type", None) or parameter.type_descriptor  # older and newer releases of Typer
    kind = str(getattr(about, "annotation", getattr(about, "name", "")))
    names = parameter.param_type_name == "argument" or "path" in kind.lower()
    given = value if isinstance(value, list | tuple) else [value]
    return bool(names and "" in given and value != parameter.default)


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return str(max(parameter.opts, key=len))


def _allowed(parameter: Any) -> tuple[str, list[str]]:
    """Return what values an option allows, in words, and its choices; empty if only the library can say it."""
    about = getattr(parameter, "type", None) or parameter.type_descriptor  # older and newer releases of Typer
    choices = [str(getattr(choice, "value", choice)) for choice in getattr(about, "choices", None) or ()]
    if choices:
        return f"one of {', '.join(choices)}", choices
    kind = str(getattr(about, "annotation", getattr(about, "name", "")))
    noun = next((words for name, words in NOUNS.items() if name in kind), "")
    limits = about if hasattr(about, "min") else parameter
    return (noun and f"{noun}{_range(limits)}"), []


def _range(limits: Any) -> str:
    low, high = getattr(limits, "min", None), getattr(limits, "max", None)
    if low is None:
        return "" if high is None else f" up to {high}"
    return f" of {low} or more" if high is None else f" from {low} to {high}"


def _options(parse: Callable[..., Any], command: Any, context: Any, arguments: list[str]) -> Any:
    """Parse the options of a command.

    Raises:
        ConfigError: An option does not exist, lacks its value or has one too many, or an argument is too many.
    """
    try:
        return parse(context, arguments)
    except Exception as error:
        kind, option = _kind(error), str(getattr(error, "option_name", ""))
        if kind == "NoSuchOption":
            known = [name for parameter in command.get_params(context) for name in parameter.opts]
            remedy = did_you_mean(option, [name for name in known if name.startswith("--")]) or _help(context)
            raise ConfigError(f"{context.command_path} has no option {option}", remedy=remedy) from None
        if kind == "BadOptionUsage":
            takes = "takes no value" if "does not take" in str(error) else "is given without a value"
            raise ConfigError(f"{option} {takes}", remedy=_help(context)) from None
        if kind == "UsageError":
            extra = re.search(r".*\((.*)\)", str(error))
            found = extra.group(1) if extra else str(error)
            raise ConfigError(f"{context.command_path} cannot take: {found}", remedy=_help(context)) from None
        raise


def _subcommand(resolve: Callable[..., Any], group: Any, context: Any, arguments: list[str]) -> Any:
    """Return the subcommand that is named.

    Raises:
        ConfigError: There is no such subcommand.
    """
    try:
        return resolve(context, arguments)
    except Exception as error:
        if _kind(error) != "UsageError":
            raise
        hint = did_you_mean(arguments[0], group.commands) or _help(context)
        raise ConfigError(f"{context.command_path} has no command {arguments[0]!r}", remedy=hint) from None


def _help(context: Any) -> str:
    return f"See: {context.command_path} --help"
