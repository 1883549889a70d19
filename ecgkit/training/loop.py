"""Pretraining of any method on a store, with a run folder as the result.

One process or many run the same code. Only the first process writes files and calls the watcher.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ecgkit.atomic import atomic_file, sync
from ecgkit.entries import MethodEntry, TaskEntry
from ecgkit.parquet import write_frame
from ecgkit.signatures.make import store_signatures
from ecgkit.signatures.table import Signatures, join, write_signatures
from ecgkit.store.reader import Store
from ecgkit.training import run as run_folder
from ecgkit.training.card import write_card
from ecgkit.training.failures import told_plainly
from ecgkit.training.groundwork import Groundwork, lay_groundwork
from ecgkit.training.optimization import precision
from ecgkit.training.options import CHOSEN, PretrainOptions, Watcher
from ecgkit.training.processes import Processes, joined, requeued
from ecgkit.training.setup import Setup, resume_settings, set_up
from ecgkit.training.trainer import Trainer
from ecgkit.training.unfinished import check_free, run_in_progress, unfinished

__all__ = ["PretrainOptions", "Watcher", "pretrain"]

DEFAULTS = PretrainOptions()


def pretrain(
    entry: MethodEntry,
    config: Any,
    store: Store,
    out: Path,
    options: PretrainOptions = DEFAULTS,
    watcher: Watcher | None = None,
    *,
    task: TaskEntry | None = None,
) -> list[dict[str, Any]]:
    """Train a method on a store and write a run folder.

    Args:
        entry: The method family.
        config: Its config.
        store: The store to train on.
        out: The run folder. It appears when training is complete; until then it is ``OUT.partial``.
        options: See `PretrainOptions`.
        watcher: See `Watcher`.
        task: Task that gives the labels and the split, for a method that needs ``labels``.

    Returns:
        The metrics of every epoch.

    Raises:
        StoreError: The store lacks what the method needs, or has too few records.
        TaskError: The store has no labels of the task.
        RunError: The loss became NaN or infinite, memory ran out, the disk is full, or another process has ended.
        OutputError: `out` exists, or an unfinished run of this name exists and is not resumed.
        KeyboardInterrupt: A signal asked to stop, and a checkpoint is saved.
    """
    watcher = watcher or Watcher()
    options = replace(options, resume=options.resume or requeued(os.environ))
    check_free(out, overwrite=options.overwrite, resume=options.resume)
    lay_groundwork(Groundwork(entry, config, store, options.prepare), watcher.prepare)
    with joined(run_folder.pick_device(options.device).type) as processes:
        trainer: Trainer | None = None
        with told_plainly(out, processes.size, lambda: trainer.progress.step if trainer else 0):
            setup = set_up(entry, config, store, options, processes, task)
            with _run_folder(out, setup, processes) as folder:
                trainer = Trainer(setup, processes, folder, watcher if processes.first else Watcher())
                metrics = trainer.train()
                if processes.first:
                    write_card(folder, setup, metrics)
    return metrics


@contextmanager
def _run_folder(out: Path, setup: Setup, processes: Processes) -> Iterator[Path]:
    """Yield the folder of the unfinished run in every process; the first process makes it and renames it to `out`."""
    options = setup.options
    with ExitStack() as made:

        def begin() -> Path:
            if not processes.first:
                return unfinished(out.absolute())
            settings = resume_settings(setup, processes)
            folder = made.enter_context(
                run_in_progress(out, settings, overwrite=options.overwrite, resume=options.resume)
            )
            _write_run(folder, setup)
            return folder

        yield processes.in_turn(begin)
        processes.wait()


def _write_run(folder: Path, setup: Setup) -> None:
    """Write the settings, the data and the split before the first step."""
    parts, store, options = setup.split.parts(), setup.store, setup.options
    details = {
        "seed": options.seed,
        "all_folds": options.all_folds,
        **({"subset": options.subset} if options.subset is not None else {}),
        "task": setup.task,
        **({"task_settings": list(options.task_settings)} if options.task_settings else {}),
        "precision": precision(setup.recipe, setup.device),
        "store": {
            "name": store.name,
            "path": str(store.path.resolve()),
            "dataset": store.attributes["dataset"],
            "archives": list(store.archives),
            "sha256": store.content_hash,
        },
        "records": {name: len(rows) for name, rows in parts.items()},
        **setup.facts(),
        **({CHOSEN: options.notes[CHOSEN]} if CHOSEN in options.notes else {}),
        **({"built_on": [parent.details for parent in setup.parents]} if setup.parents else {}),
    }
    run_folder.write_config(folder, setup.entry, options.preset, setup.config, details, setup.device)
    columns = store.table[["record_id", "patient_id", "sha256"]]
    own = [columns.iloc[rows].assign(part=name, dataset=store.attributes["dataset"]) for name, rows in parts.items()]
    seen = [parent.records for parent in setup.parents]
    records = pd.concat([*own, *seen])[run_folder.RECORD_COLUMNS]
    with atomic_file(folder / run_folder.RECORDS) as path:
        write_frame(path, records)
    with atomic_file(folder / run_folder.SIGNATURES) as path:
        write_signatures(path, _seen_signatures(setup))
    sync(folder)  # no checkpoint survives a power cut that these files do not


def _seen_signatures(setup: Setup) -> Signatures:
    """Return the waveform signatures of the records that the run and its parents are trained or chosen on."""
    rows = np.concatenate([setup.split.train, setup.split.val])
    own = store_signatures(setup.store).take(rows).thin()
    return join([own, *(parent.signatures for parent in setup.parents if parent.signatures)], own.rate)
