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
    from ecgkit.api.beats import find_beats, score_beats
    from ecgkit.api.demo import run_demo
    from ecgkit.api.export import export_encoder
    from ecgkit.api.ingest import ingest
    from ecgkit.api.inspect import (
        inspect_overlap,
        inspect_quality,
        inspect_reconstruction,
        inspect_record,
        inspect_store,
    )
    from ecgkit.api.knowledge import audit_knowledge, compare_knowledge, extract_knowledge
    from ecgkit.api.plugins import check_plugin, list_methods, list_plugins, new_plugin
    from ecgkit.api.pretrain import estimate_pretraining, pretrain, resume_pretraining
    from ecgkit.api.runs import compare_runs, import_weights
    from ecgkit.api.score import score_challenge
    from ecgkit.api.simulate import simulate_cohort
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
    "run_demo",
    "new_plugin",
    "check_plugin",
    "list_plugins",
    "list_methods",
    "simulate_cohort",
    "score_challenge",
    "export_encoder",
    "import_weights",
    "compare_runs",
    "inspect_reconstruction",
    "inspect_overlap",
    "inspect_quality",
    "inspect_record",
    "inspect_store",
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
    "run_demo": "ecgkit.api.demo",
    "new_plugin": "ecgkit.api.plugins",
    "check_plugin": "ecgkit.api.plugins",
    "list_plugins": "ecgkit.api.plugins",
    "list_methods": "ecgkit.api.plugins",
    "simulate_cohort": "ecgkit.api.simulate",
    "score_challenge": "ecgkit.api.score",
    "export_encoder": "ecgkit.api.export",
    "import_weights": "ecgkit.api.runs",
    "compare_runs": "ecgkit.api.runs",
    "inspect_reconstruction": "ecgkit.api.inspect",
    "inspect_overlap": "ecgkit.api.inspect",
    "inspect_quality": "ecgkit.api.inspect",
    "inspect_record": "ecgkit.api.inspect",
    "inspect_store": "ecgkit.api.inspect",
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
