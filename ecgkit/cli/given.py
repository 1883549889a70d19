"""What a command hands on to its function of the library: both have the same options, under the same names."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any


def given(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that a function takes; one that was not given is left to the function's default.

    Args:
        function: A function of the library, such as ``ecgkit.ingest``.
        options: All options of the command by name: its ``locals()`` before anything else.
    """
    taken = signature(function).parameters
    return {name: value for name, value in options.items() if name in taken and value is not None}
