"""The store for the checks: a small simulated cohort with all data that a method may need, made once per process."""

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ecgkit.beats.find import find_beats
from ecgkit.beats.peaks import has_peaks
from ecgkit.entries import TaskEntry
from ecgkit.ingestion import ingest
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import DEFAULT_NAME
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import of_store
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.tasks.loading import find_task

RECORDS = 64
TASK = "simulated"

_kept: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


@functools.cache
def simulated_store() -> Path:
    """Return a store of simulated ECGs with reports, labels, age and sex; the process removes it when it ends."""
    folder = tempfile.TemporaryDirectory(prefix="ecgkit-testing-")
    _kept.append(folder)
    cohort, store = Path(folder.name) / "cohort", Path(folder.name) / "cohort.zarr"
    simulate_cohort(cohort, records=RECORDS, seed=0)
    ingest(cohort, store)
    return store


def store_for(needs: Iterable[str]) -> Store:
    """Return the store, with beats, entities or other data added as these needs require."""
    store = Store(simulated_store())
    if "beats" in needs and not has_peaks(store):
        find_beats(store)
    reports = of_store(store)
    if "entities" in needs and not (reports.folder / DEFAULT_NAME).exists():
        extract_knowledge(reports, LexiconBackend(), ExtractOptions(min_count=1))
    return store


def task_for(needs: Iterable[str]) -> TaskEntry | None:
    """Return the task that gives the labels, for a method that needs labels."""
    return find_task(TASK) if "labels" in needs else None
