"""Passing a command's options to its library function, which has parameters of the same names."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any


def given(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a function takes and that were given; the others keep the function's defaults.

    Args:
        function: A function of the library, such as ``ecgkit.ingest``.
        options: All options of the command by name: its ``locals()`` in its first line.
    """
    taken = signature(function).parameters
    return {name: value for name, value in options.items() if name in taken and value is not None}
