"""ecgkit: the whole way of 12-lead ECG representation learning, from WFDB files to a results table.

Every command of the program is a function here, such as `ingest`; see `ecgkit.api`. `load` gives a trained encoder that
takes arrays, and `open_store` a store that reads like a list. The other names are all that a plugin's ``__init__.py``
needs. Importing ecgkit imports no heavy library: a function imports what it needs when it is first used.
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
    TaskEntry,
    TextEncoderEntry,
)
from ecgkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from ecgkit.api.ingest import ingest
    from ecgkit.api.pretrain import estimate_pretraining, pretrain, resume_pretraining
    from ecgkit.arrays.encoder import load
    from ecgkit.arrays.store import open_store

__version__ = "0.1.0"

__all__ = [
    "CommandEntry",
    "DatasetEntry",
    "DetectorEntry",
    "HeadEntry",
    "MethodEntry",
    "ProtocolEntry",
    "SectionEntry",
    "TaskEntry",
    "TextEncoderEntry",
    "__version__",
    "estimate_pretraining",
    "hookimpl",
    "ingest",
    "load",
    "open_store",
    "pretrain",
    "resume_pretraining",
]

_LAZY = {
    "estimate_pretraining": "ecgkit.api.pretrain",
    "pretrain": "ecgkit.api.pretrain",
    "resume_pretraining": "ecgkit.api.pretrain",
    "ingest": "ecgkit.api.ingest",
    "load": "ecgkit.arrays.encoder",
    "open_store": "ecgkit.arrays.store",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
