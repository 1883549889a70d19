"""Probe: judge an encoder by a task, under one protocol, and write down everything the number depends on.

The encoder's own contract builds its input from any store, whatever its rate or lead order. The head is fitted on
folds 1-8 (or what the task says), its settings chosen on validation, and the test part is predicted once.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecgkit.atomic import check_output
from ecgkit.config import fingerprint
from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.errors import RunError
from ecgkit.evaluation.features import extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.lead_sets import LeadSet
from ecgkit.evaluation.results import RESULT, ResultRow, save_row
from ecgkit.evaluation.scoring import Fitted, Setting, predictions, result_row
from ecgkit.evaluation.subject import Subject
from ecgkit.evaluation.supervised import RECIPE, train_supervised
from ecgkit.methods import Encoder
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.task import Task, TaskData, load_task, task_data
from ecgkit.training.run import pick_device
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe.

    Args:
        head: Name of the head on frozen features; not used for ``scratch``.
        seed: Of the head, or of the training from scratch.
        epochs: Of the training from scratch; None for the recipe's.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        head_config: The head's settings, where its entry names a config; None for its defaults.
        leads: The leads that the model is given; None for all that its contract names.
    """

    head: str = "linear"
    seed: int = 0
    epochs: int | None = None
    device: str = "auto"
    head_config: Any = None
    leads: LeadSet | None = None


def result_folder(parent: Path, task: str, subject: Subject, store: Store, options: ProbeOptions) -> Path:
    """Return where a result lies by default: below its run, named by all that may differ between two results."""
    head = "end-to-end" if subject.weights == "scratch" else options.head
    rest = fingerprint(subject.config, store.content_hash, options.epochs, options.head_config, options.leads)[:6]
    leads = f"-leads-{re.sub(r'[^A-Za-z0-9]+', '-', options.leads.name)}" if options.leads else ""
    return parent / "probes" / f"{task}-{head}-{store.name.removesuffix('.zarr')}{leads}-seed{options.seed}-{rest}"


def probe(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    out: Path,
    options: ProbeOptions = ProbeOptions(),
    progress: Callable[[str, int, int], None] | None = None,
) -> ResultRow:
    """Judge an encoder and write a result row with its predictions.

    Args:
        subject: The encoder.
        store: The data.
        task_entry: The task.
        head_entry: The head.
        out: Folder of the result; an earlier result there is replaced.
        options: See `ProbeOptions`.
        progress: Called with the stage, units done and in all.

    Returns:
        The row.

    Raises:
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the model's leads.
        OutputError: `out` is something else than an earlier result.
    """
    began = time.perf_counter()
    check_output(out, RESULT, overwrite=True)
    watch = progress or (lambda stage, done, total: None)
    task = load_task(task_entry)
    device = pick_device(options.device)
    view = open_view(store, subject.spec, lambda done, total: watch("view", done, total))
    if options.leads:
        view = view.only(options.leads.leads)
    data = task_data(task, task_entry.name, store, view.usable)
    encoder = subject.encoder.to(device)
    if subject.weights == "scratch":
        fitted = _train_from_scratch(encoder, store, view, data, subject, options, watch)
    else:
        fitted = _fit_head(encoder, store, view, task, data, subject, head_entry, options, watch)
    setting = Setting(
        store, view, task_entry.name, task, data, options.seed, device, options.leads.name if options.leads else ""
    )
    row = result_row(subject, setting, fitted, seconds=time.perf_counter() - began)
    save_row(out, row, predictions(setting, fitted))
    return row


def _fit_head(
    encoder: Encoder,
    store: Store,
    view: View,
    task: Task,
    data: TaskData,
    subject: Subject,
    entry: HeadEntry,
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> Fitted:
    settings = {} if options.head_config is None else {"config": options.head_config}
    head: Head = entry.load()(seed=options.seed, **settings)
    needs = entry.needs
    if "method" in needs:
        encoder, needs = _reader(head, subject, task, next(encoder.parameters()).device), ("pooled",)
    # A head of the whole method has nothing to learn from training records, so they are not read.
    parts = ("val", "test") if "method" in entry.needs else ("train", "val", "test")
    read = np.concatenate([data.parts[part] for part in parts])
    features = extract(
        encoder,
        view,
        data.rows[read],
        needs,
        supplies=open_supplies(encoder.needs, store, view, owner=subject.entry.name),
        progress=lambda done, total: watch("features", done, total),
    )
    train, val = (
        Part(features.take(np.flatnonzero(members)), data.targets[read[members]])
        for members in (np.isin(read, data.parts[p]) for p in ("train", "val"))
    )
    watch("head", 0, 1)
    head.fit(train, val)
    watch("head", 1, 1)
    probabilities = np.full(data.targets.shape, np.nan)
    probabilities[read] = head.predict(features)
    return Fitted(probabilities, entry.name, head.choices(), subject.training, head.seen)


def _reader(head: Head, subject: Subject, task: Task, device: torch.device) -> Encoder:
    """Return what a head makes of the whole method."""
    if subject.method is None:
        raise RunError(
            f"{subject.name} is an encoder alone", "a pretrained run, for this head needs the whole method",
            "Name a run folder: ecgkit probe RUN --data STORE --task TASK",
        )  # fmt: skip
    reader: Encoder = head.reader(subject.method(), task, subject.entry.name)  # type: ignore[attr-defined]
    return reader.to(device)


def _train_from_scratch(
    encoder: Encoder,
    store: Store,
    view: View,
    data: TaskData,
    subject: Subject,
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> Fitted:
    recipe = RECIPE if options.epochs is None else replace(RECIPE, epochs=options.epochs)
    trained = train_supervised(
        encoder, view, data, recipe=recipe, seed=options.seed,
        supplies=open_supplies(encoder.needs, store, view, owner=subject.entry.name),
        progress=lambda done, total: watch("epochs", done, total),
    )  # fmt: skip
    return Fitted(trained.probabilities, "end-to-end", trained.choices, trained.metrics)
