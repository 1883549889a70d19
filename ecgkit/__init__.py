"""ecgkit: the whole way of 12-lead ECG representation learning, from WFDB files to a results table.

`load` gives a trained encoder that takes arrays, `open_store` a store that reads like a list. The other names are all
that a plugin's ``__init__.py`` needs. Importing ecgkit costs no heavy library: what these two need is imported when
one of them is first asked for.
"""

from typing import TYPE_CHECKING, Any

from ecgkit.entries import (
    CommandEntry,
    DatasetEntry,
    DetectorEntry,
    HeadEntry,
    MethodEntry,
    ProtocolEntry,
    SectionEntry,
    SupplyEntry,
    TaskEntry,
    TextEncoderEntry,
)
from ecgkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from ecgkit.api.encoder import load
    from ecgkit.api.store import open_store

__version__ = "0.1.0"

__all__ = [
    "CommandEntry",
    "DatasetEntry",
    "DetectorEntry",
    "HeadEntry",
    "MethodEntry",
    "ProtocolEntry",
    "SectionEntry",
    "SupplyEntry",
    "TaskEntry",
    "TextEncoderEntry",
    "__version__",
    "hookimpl",
    "load",
    "open_store",
]

_LAZY = {"load": "ecgkit.api.encoder", "open_store": "ecgkit.api.store"}


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
