"""ecgkit: representation learning for 12-lead ECGs, from WFDB files to a results table.

Every command of the program is also a function here, such as `ingest`; see `ecgkit.api`. `load` returns a trained
encoder that takes arrays, `open_store` a store that reads like a list, and `read_ecg` one ECG from a file. The other
names are all that a plugin's ``__init__.py`` needs. Importing ecgkit imports no heavy library: each function imports
what it needs on first use.
"""

from typing import TYPE_CHECKING, Any

from ecgkit.entries import (
    ArchiveEntry,
    AugmentationEntry,
    CommandEntry,
    DatasetEntry,
    DetectorEntry,
    HeadEntry,
    KnowledgeBackendEntry,
    LoggerEntry,
    MethodEntry,
    ProtocolEntry,
    SectionEntry,
    SupplyEntry,
    TaskEntry,
    TextEncoderEntry,
    WeightsEntry,
)
from ecgkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from ecgkit.api.analysis import analyse_layers, analyse_perturbations
    from ecgkit.api.beats import find_beats, score_beats
    from ecgkit.api.browse import browse
    from ecgkit.api.cohort import find_records
    from ecgkit.api.datasets import list_datasets
    from ecgkit.api.demo import run_demo
    from ecgkit.api.download import download_dataset
    from ecgkit.api.ecg import read_ecg
    from ecgkit.api.embed import embed
    from ecgkit.api.explain import explain, explain_cohort
    from ecgkit.api.export import export_encoder
    from ecgkit.api.extractions import (
        audit_knowledge,
        compare_knowledge,
        export_knowledge,
        score_knowledge,
        vote_knowledge,
        write_mentions,
    )
    from ecgkit.api.import_weights import import_weights
    from ecgkit.api.ingest import ingest
    from ecgkit.api.inspect import (
        inspect_overlap,
        inspect_quality,
        inspect_record,
        inspect_store,
        verify_store,
    )
    from ecgkit.api.knowledge import extract_knowledge, write_prompts
    from ecgkit.api.lead_worth import inspect_lead_worth
    from ecgkit.api.listing import list_encoders, list_heads, list_tasks
    from ecgkit.api.plugins import check_plugin, list_methods, list_plugins, new_plugin
    from ecgkit.api.predict import predict
    from ecgkit.api.prepare import prepare
    from ecgkit.api.pretrain import estimate_pretraining, pretrain, resume_pretraining
    from ecgkit.api.probe import probe
    from ecgkit.api.reconstruction import inspect_reconstruction
    from ecgkit.api.relabel import relabel
    from ecgkit.api.report import report
    from ecgkit.api.runs import best_run, compare_runs, delete_runs, list_runs, show_run, tag_run
    from ecgkit.api.score import score_challenge
    from ecgkit.api.simulate import simulate_cohort
    from ecgkit.api.status import doctor, status
    from ecgkit.api.study import plan_study, study
    from ecgkit.api.suite import probe_suite
    from ecgkit.api.table import probe_table
    from ecgkit.arrays.encoder import load
    from ecgkit.arrays.store import open_store

__version__ = "0.1.0"

__all__ = [
    "ArchiveEntry",
    "AugmentationEntry",
    "CommandEntry",
    "DatasetEntry",
    "DetectorEntry",
    "HeadEntry",
    "KnowledgeBackendEntry",
    "LoggerEntry",
    "MethodEntry",
    "ProtocolEntry",
    "SectionEntry",
    "SupplyEntry",
    "TaskEntry",
    "TextEncoderEntry",
    "WeightsEntry",
    "__version__",
    "audit_knowledge",
    "best_run",
    "browse",
    "check_plugin",
    "compare_knowledge",
    "compare_runs",
    "delete_runs",
    "doctor",
    "download_dataset",
    "embed",
    "estimate_pretraining",
    "explain",
    "explain_cohort",
    "export_encoder",
    "export_knowledge",
    "extract_knowledge",
    "find_beats",
    "find_records",
    "hookimpl",
    "import_weights",
    "ingest",
    "inspect_lead_worth",
    "inspect_overlap",
    "inspect_quality",
    "inspect_reconstruction",
    "inspect_record",
    "inspect_store",
    "list_datasets",
    "list_encoders",
    "list_heads",
    "list_methods",
    "list_plugins",
    "list_runs",
    "list_tasks",
    "load",
    "new_plugin",
    "open_store",
    "plan_study",
    "predict",
    "prepare",
    "pretrain",
    "probe",
    "probe_suite",
    "probe_table",
    "read_ecg",
    "relabel",
    "report",
    "resume_pretraining",
    "run_demo",
    "score_beats",
    "score_challenge",
    "score_knowledge",
    "show_run",
    "simulate_cohort",
    "status",
    "study",
    "analyse_layers",
    "analyse_perturbations",
    "tag_run",
    "verify_store",
    "vote_knowledge",
    "write_mentions",
    "write_prompts",
]

# The functions of each module.
_FUNCTIONS = {
    "ecgkit.api.lead_worth": "inspect_lead_worth",
    "ecgkit.api.probe": "probe",
    "ecgkit.api.analysis": "analyse_layers analyse_perturbations",
    "ecgkit.api.study": "plan_study study",
    "ecgkit.api.suite": "probe_suite",
    "ecgkit.api.table": "probe_table",
    "ecgkit.api.beats": "find_beats score_beats",
    "ecgkit.api.browse": "browse",
    "ecgkit.api.cohort": "find_records",
    "ecgkit.api.datasets": "list_datasets",
    "ecgkit.api.demo": "run_demo",
    "ecgkit.api.ecg": "read_ecg",
    "ecgkit.api.download": "download_dataset",
    "ecgkit.api.embed": "embed",
    "ecgkit.api.explain": "explain explain_cohort",
    "ecgkit.api.export": "export_encoder",
    "ecgkit.api.import_weights": "import_weights",
    "ecgkit.api.ingest": "ingest",
    "ecgkit.api.inspect": "inspect_overlap inspect_quality inspect_record inspect_store verify_store",
    "ecgkit.api.extractions": "audit_knowledge compare_knowledge export_knowledge score_knowledge vote_knowledge "
    "write_mentions",
    "ecgkit.api.knowledge": "extract_knowledge write_prompts",
    "ecgkit.api.listing": "list_encoders list_heads list_tasks",
    "ecgkit.api.plugins": "check_plugin list_methods list_plugins new_plugin",
    "ecgkit.api.predict": "predict",
    "ecgkit.api.prepare": "prepare",
    "ecgkit.api.pretrain": "estimate_pretraining pretrain resume_pretraining",
    "ecgkit.api.reconstruction": "inspect_reconstruction",
    "ecgkit.api.relabel": "relabel",
    "ecgkit.api.report": "report",
    "ecgkit.api.runs": "best_run compare_runs delete_runs list_runs show_run tag_run",
    "ecgkit.api.score": "score_challenge",
    "ecgkit.api.simulate": "simulate_cohort",
    "ecgkit.api.status": "doctor status",
    "ecgkit.arrays.encoder": "load",
    "ecgkit.arrays.store": "open_store",
}
_LAZY = {name: module for module, names in _FUNCTIONS.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgkit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
