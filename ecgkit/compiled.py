"""Loops compiled by numba, behind one decorator.

Importing this module imports numba, which is slow. Modules with compiled loops are therefore imported on first use.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function and cache the result on disk; if no cache can be written, compile it in each process."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba raises this if it finds no folder for its cache
        return cast(F, numba.njit(nogil=True)(function))
