"""ecgkit: the whole way of 12-lead ECG representation learning, from WFDB files to a results table.

Every command of the program is a function here, such as `ingest`; see `ecgkit.api`. `load` gives a trained encoder that
takes arrays, and `open_store` a store that reads like a list. The other names are all that a plugin's ``__init__.py``
needs. Importing ecgkit imports no heavy library: a function imports what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

from ecgkit.entries import (
    AugmentationEntry,
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
    from ecgkit.api.ingest import ingest
    from ecgkit.api.probe import probe
    from ecgkit.api.report import report
    from ecgkit.api.study import study_layers, study_perturbations
    from ecgkit.api.suite import probe_suite
    from ecgkit.arrays.encoder import load
    from ecgkit.arrays.store import open_store

__version__ = "0.1.0"

__all__ = [
    "AugmentationEntry",
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
    "ingest",
    "load",
    "open_store",
    "probe",
    "probe_suite",
    "report",
    "study_layers",
    "study_perturbations",
]

_LAZY = {
    "ingest": "ecgkit.api.ingest",
    "load": "ecgkit.arrays.encoder",
    "open_store": "ecgkit.arrays.store",
    "probe": "ecgkit.api.probe",
    "probe_suite": "ecgkit.api.suite",
    "report": "ecgkit.api.report",
    "study_layers": "ecgkit.api.study",
    "study_perturbations": "ecgkit.api.study",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
