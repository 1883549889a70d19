"""Loops compiled by numba, behind one decorator.

Importing this module imports numba, which takes a while: modules that hold compiled loops are imported where they run.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function, once on a machine; where nothing can be written, it is compiled anew in each process."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # numba's word for "no folder for the cache"
        return cast(F, numba.njit(nogil=True)(function))
