"""ecgkit: the whole way of 12-lead ECG representation learning, from WFDB files to a results table.

The names below are all that a plugin's ``__init__.py`` needs; importing them costs no heavy library.
"""

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
    "hookimpl",
]
