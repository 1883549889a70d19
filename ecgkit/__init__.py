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
    SupplyEntry,
    TaskEntry,
    TextEncoderEntry,
)
from ecgkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from ecgkit.api.beats import find_beats, score_beats
    from ecgkit.api.ingest import ingest
    from ecgkit.api.knowledge import audit_knowledge, compare_knowledge, extract_knowledge
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
    "SupplyEntry",
    "TaskEntry",
    "TextEncoderEntry",
    "__version__",
    "audit_knowledge",
    "compare_knowledge",
    "extract_knowledge",
    "estimate_pretraining",
    "find_beats",
    "hookimpl",
    "ingest",
    "load",
    "open_store",
    "pretrain",
    "resume_pretraining",
    "score_beats",
]

_LAZY = {
    "audit_knowledge": "ecgkit.api.knowledge",
    "compare_knowledge": "ecgkit.api.knowledge",
    "extract_knowledge": "ecgkit.api.knowledge",
    "find_beats": "ecgkit.api.beats",
    "score_beats": "ecgkit.api.beats",
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
