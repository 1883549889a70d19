"""The cells of a study: stores, runs and probes, each done by the function that its own command uses."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ecgkit.api.analysis import folder_of_layers, folder_of_perturbation, run_layers, run_perturbation
from ecgkit.api.ingest import ingest
from ecgkit.api.models import encoders_of, with_local_runs
from ecgkit.api.pretrain import pretrain, resume_pretraining
from ecgkit.atomic import atomic_file, atomic_folder
from ecgkit.config import fingerprint
from ecgkit.entries import MethodEntry
from ecgkit.errors import ConfigError, EcgkitError
from ecgkit.evaluation.results.row import ROW, ResultRow, load_row
from ecgkit.evaluation.suites.file import Suite, also_read
from ecgkit.evaluation.suites.places import Places as Names
from ecgkit.evaluation.suites.run import ROWS, reason, run_requests
from ecgkit.knowledge.extract import ExtractOptions, extract_knowledge
from ecgkit.knowledge.labels import DEFAULT_NAME
from ecgkit.knowledge.lexicon.backend import LexiconBackend
from ecgkit.knowledge.reports import of_store
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.simulate import simulate_cohort
from ecgkit.store.reader import Store
from ecgkit.studies.file import Study, StudyStore
from ecgkit.studies.grid import Asked, Places, Run, asked_of, runs_of
from ecgkit.training.options import Watcher
from ecgkit.training.preparation import check_prepared, lacking
from ecgkit.training.unfinished import RESUME, settle, unfinished

FROM_THE_SIGNAL = ("beats",)  # supplies that an encoder may read of any store


@dataclass(frozen=True)
class Corpus:
    """A store that the study makes or prepares.

    Args:
        name: Its name.
        store: How it is made.
    """

    name: str
    store: StudyStore


Call = Corpus | Run | Asked


@dataclass(frozen=True)
class OpenedStudy:
    """A study with its places, ready to be done.

    Args:
        study: The study.
        out: Its folder.
        places: Where its stores and runs lie.
        device: Device to compute on.
        gpus: Number of GPUs of each training; 0 for one process.
        workers: Number of processes that load batches.
        prepare: Whether stores that exist get what a method needs and they lack.
        cache: Folder of the feature cache, as in a `ProbeRequest`.
    """

    study: Study
    out: Path
    places: Places
    device: str = "auto"
    gpus: int = 0
    workers: int | None = None
    prepare: bool = False
    cache: str | None = ""

    def corpora(self) -> list[Corpus]:
        """Return the stores of the study that have a place, those first that others are joined from."""
        found = [Corpus(name, store) for name, store in self.study.stores.items() if name in self.places.stores]
        return sorted(found, key=lambda corpus: bool(corpus.store.join))

    def runs(self) -> list[Run]:
        """Return the runs whose store has a place."""
        return [run for run in runs_of(self.study) if run.training.data in self.places.stores]

    def asked(self) -> list[Asked]:
        """Return the probes of runs that have a place, and of encoders without a run."""
        runs = {run.name for run in self.runs()}
        everything = asked_of(self.study, self.places, device=self.device, cache=self.cache)
        return [asked for asked in everything if not asked.run or asked.run in runs]

    def rows(self, asked: Asked) -> Path:
        """Return the folder of the rows of a probe."""
        return self.out / "results" / asked.probe.name / ROWS

    def plan(self, run: Run) -> Path:
        """Return the file that says with which settings a run was begun."""
        return self.out / "plans" / f"{run.name}.json"

    def check_plans(self) -> None:
        """Raise if a run of the folder was begun with other settings than the study now has.

        Raises:
            ConfigError: There is such a run.
        """
        for run in self.runs():
            folder, plan = self.places.run(run), self.plan(run)
            there = folder.exists() or unfinished(folder).exists()
            if there and plan.exists() and _planned(plan) != run.fingerprint:
                raise ConfigError(
                    f"{folder} was trained with other settings than {run.training.name} has now",
                    "a study whose trainings stay as they were",
                    f"Rename the training, use another --out, or delete it: ecgkit runs delete {folder}",
                )


def _planned(plan: Path) -> str:
    """Return the hash of the settings with which a run was begun.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        return str(json.loads(plan.read_text(encoding="utf-8"))["settings"])
    except (ValueError, LookupError, TypeError):
        remedy = "Restore it. If you delete it, nothing checks that the settings of the training are still the same."
        raise ConfigError(f"{plan} cannot be read", "the settings with which a training was begun", remedy) from None


def name_of(call: Call) -> str:
    """Return the name of a cell, for people."""
    if isinstance(call, Corpus):
        return f"store {call.name}"
    return f"training {call.name}" if isinstance(call, Run) else call.title


def cell_name(call: Call) -> str:
    """Return the name of a cell, the same for all workers; letters, digits, ``-`` and ``_``."""
    if isinstance(call, Asked):
        return f"probes-{fingerprint(call.title, call.probe.name)}"
    kind = "store" if isinstance(call, Corpus) else "run"
    return f"{kind}-{re.sub('[^A-Za-z0-9]+', '-', call.name)}-{fingerprint(call.name)[:6]}"


def is_done(opened: OpenedStudy, call: Call) -> bool:
    """Return whether a cell is done."""
    if isinstance(call, Corpus):
        return _is_prepared(opened, call)
    if isinstance(call, Run):
        settle(opened.places.run(call))
        return opened.places.run(call).is_dir()
    return not _left(opened, call)


def do(
    opened: OpenedStudy, call: Call, *, progress: Progress = silent, watcher: Watcher | None = None
) -> dict[str, str]:
    """Do a cell. Return the reason of each failure by title."""
    try:
        if isinstance(call, Corpus):
            _make_store(opened, call, progress)
        elif isinstance(call, Run):
            _train(opened, call, progress, watcher)
        else:
            return _ask(opened, call, progress)
    except (EcgkitError, OSError, RuntimeError, ValueError) as error:
        return {name_of(call): reason(error)}
    return {}


def _users(opened: OpenedStudy, corpus: Corpus) -> list[tuple[MethodEntry, Any, tuple[str, ...]]]:
    """Return what each method reads of a store: all its supplies for a training, for a probe those of the signal."""
    found: dict[str, tuple[MethodEntry, Any, tuple[str, ...]]] = {}
    probed = {run for asked in opened.asked() if corpus.name in asked.stores for run in [asked.run]}
    for run in opened.runs():
        entry, _, config = run.resolve()
        trained = run.training.data == corpus.name
        if trained or run.name in probed:
            family = entry.load()
            needs = (*entry.needs, *family.further_needs(config))
            wanted = needs if trained else tuple(need for need in needs if need in FROM_THE_SIGNAL)
            found.setdefault(f"{run.training} {trained}", (entry, config, wanted))
    return list(found.values())


def _is_prepared(opened: OpenedStudy, corpus: Corpus) -> bool:
    path = opened.places.stores[corpus.name]
    if not path.exists():
        return False
    if not (corpus.store.is_made or opened.prepare):
        return True
    store = Store(path)
    return not any(True for _, config, needs in _users(opened, corpus) for _ in lacking(needs, store, config))


def _make_store(opened: OpenedStudy, corpus: Corpus, progress: Progress) -> None:
    """Make a store, and add what the methods of the study read from it."""
    path, made = opened.places.stores[corpus.name], corpus.store
    if not path.exists():
        if not made.is_made:
            raise ConfigError(f"{path} does not exist", "a store", f"Give its path: --store {corpus.name}=PATH")
        ingest(_source(opened, corpus, progress), out=path, progress=progress, **made.ingest)
    store = Store(path)
    if made.keep_children and not (of_store(store).folder / DEFAULT_NAME).exists():
        extract_knowledge(of_store(store), LexiconBackend(), ExtractOptions(keep_children=True), progress)
    for entry, config, needs in _users(opened, corpus):
        check_prepared(needs, store, owner=entry.name, prepare=progress, config=config)


def _source(opened: OpenedStudy, corpus: Corpus, progress: Progress) -> str | Path:
    """Return what a store is ingested from."""
    made, folder = corpus.store, opened.out / "sources" / corpus.name
    if made.simulate:
        if not folder.exists():
            simulate_cohort(folder, records=made.simulate, seed=made.seed, progress=of_stage(progress, "simulate"))
        return folder
    if not made.join and not made.without:
        return made.source
    if folder.exists():
        shutil.rmtree(folder)  # what a stopped study left of it may be incomplete
    with atomic_folder(folder, "sources of a study") as staging:
        if made.without:
            ignored = shutil.ignore_patterns(made.without)
            shutil.copytree(made.source, staging, ignore=ignored, copy_function=_link, dirs_exist_ok=True)
        for name in made.join:
            shutil.copytree(opened.places.stores[name], staging / f"{name}.zarr", copy_function=_link)
    return folder


def _link(source: str, copy: str) -> None:
    """Make a hard link to a file, or a copy where the file system has no hard links."""
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)


def _train(opened: OpenedStudy, run: Run, progress: Progress, watcher: Watcher | None) -> None:
    """Train a run, or go on with it."""
    folder, asked = opened.places.run(run), run.training
    watcher = watcher or Watcher(prepare=progress, step=of_stage(progress, f"{run.name}: steps"))
    if (unfinished(folder) / RESUME).is_file():
        resume_pretraining(folder, device=opened.device, gpus=opened.gpus, watcher=watcher)
        return
    with atomic_file(opened.plan(run)) as staging:
        staging.write_text(json.dumps({"settings": run.fingerprint}), encoding="utf-8")
    pretrain(
        method=asked.method,
        data=opened.places.stores[asked.data],
        out=folder,
        preset=asked.preset,
        task=asked.task,
        task_settings=asked.task_settings,
        epochs=asked.epochs,
        settings=asked.settings,
        seed=run.seed,
        gpus=opened.gpus,
        device=opened.device,
        workers=opened.workers,
        all_folds=asked.all_folds,
        subset=asked.subset,
        prepare=opened.prepare,
        watcher=watcher,
    )


@cache
def _names() -> Names:
    return Names()


def places_of(opened: OpenedStudy, asked: Asked) -> list[Path]:
    """Return the folders of a probe's results, or of its analysis.

    Raises:
        EcgkitError: Its run or store is not there yet.
    """
    below, first = opened.out / "analyses" / asked.probe.name, asked.requests[0]
    if asked.probe.layers:
        return [folder_of_layers(first, asked.probe.layers, below=below)]
    if asked.probe.perturb:
        return [folder_of_perturbation(first, asked.probe.perturb[0], below=below)]
    return [opened.rows(asked) / _names().name(request, with_encoder=True) for request in asked.requests]


def _left(opened: OpenedStudy, asked: Asked) -> bool:
    """Return whether a probe is not done."""
    try:
        folders = places_of(opened, asked)
    except EcgkitError:
        return True
    if asked.probe.layers or asked.probe.perturb:
        return not folders[0].exists()
    return any(row_in(folder) is None for folder in folders)


def row_in(folder: Path) -> ResultRow | None:
    """Return the row in a folder if it exists and is complete."""
    try:
        return load_row(folder / ROW)
    except EcgkitError:
        return None


def _ask(opened: OpenedStudy, asked: Asked, progress: Progress) -> dict[str, str]:
    """Run the probes of a cell, or its analysis."""
    suite, first = asked.probe.suite, asked.requests[0]
    folders = places_of(opened, asked)
    if asked.probe.layers:
        run_layers(first, asked.probe.layers, folders[0], progress)
    elif asked.probe.perturb:
        run_perturbation(first, asked.probe.perturb[0], folders[0], progress)
    else:
        also = also_read(suite.heads, first.encoder)
        placed = [
            (replace(request, also=also), folder) for request, folder in zip(asked.requests, folders, strict=True)
        ]
        return run_requests(placed, progress=progress).failed
    return {}


def with_models(study: Study) -> Study:
    """Return a study whose further models, such as ``runs/*``, are encoders, and whose runs are folders."""

    def opened(suite: Suite) -> Suite:
        return replace(suite, runs=(*with_local_runs(suite.runs), *encoders_of(suite.models)), models=())

    return replace(study, probes=tuple(replace(probe, suite=opened(probe.suite)) for probe in study.probes))


def places(study: Study, out: Path, given: Mapping[str, Path]) -> Places:
    """Return where the stores and runs of a study lie. A store that is neither given, there, nor made has no place."""
    stores = {
        name: given.get(name) or (out / "stores" / f"{name}.zarr" if store.is_made else Path(store.path))
        for name, store in study.stores.items()
        if name in given or store.is_made or store.path
    }
    return Places(stores, out / "runs")
