"""The command that a user would sensibly give next, from what a store, a run or the folder holds."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ecgkit.entries import MethodEntry
from ecgkit.plugins import host
from ecgkit.store.remote import named_by_user
from ecgkit.workspace.contents import StoreInfo, read_store
from ecgkit.workspace.runs import CONFIG, RUNS


def after_store(path: Path) -> str:
    """Return the next command for a store: R peaks, then entities of its reports, then a training."""
    try:
        store = read_store(path)
    except (OSError, ValueError):
        return f"ecgkit inspect {quoted(path)}"
    if not store.beats:
        return f"ecgkit beats {quoted(path)}"
    if store.reports and not store.entities:
        return f"ecgkit extract-knowledge {quoted(path)}"
    return f"ecgkit pretrain --method {suited_method(store)} --data {quoted(path)}"


def suited_method(store: StoreInfo) -> str:
    """Return the method that uses most of what a store holds, and needs nothing else."""
    entries = [
        e for e in host().entries(MethodEntry).values() if e.pretrains and set(e.needs) <= store.supplies - {"labels"}
    ]
    most = max(entries, key=lambda entry: len(entry.needs), default=None)
    return "METHOD" if most is None else most.name


def after_run(path: Path) -> str:
    """Return the next command for a finished run."""
    return f"ecgkit probe {quoted(path)}"


def after_results(folder: Path) -> str:
    """Return the next command for a folder of results: the report, without a path if it lies below ``runs``."""
    below = Path(RUNS).absolute() in folder.absolute().parents
    return "ecgkit report" if below else f"ecgkit report {quoted(folder)}"


def after_predictions(results: Sequence[Path], data: Path) -> str:
    """Return the next command after predictions: the features of the same records, if the result lies in its run."""
    runs = [parent for parent in Path(results[0]).absolute().parents if (parent / CONFIG).is_file()]
    if not runs:
        return "ecgkit report"
    shown = runs[0].relative_to(Path.cwd()) if runs[0].is_relative_to(Path.cwd()) else runs[0]
    return f"ecgkit embed {quoted(shown)} --data {quoted(data)} --out embeddings.parquet"


def quoted(path: Path) -> str:
    """Return a path as it is typed in a shell. A copy of a remote store is named by its address."""
    return shlex.quote(named_by_user(path))
