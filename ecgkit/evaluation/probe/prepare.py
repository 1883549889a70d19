"""Probe: judge an encoder by a task, under one protocol, and write down everything the number depends on.

The encoder's own contract builds its input from any store, whatever its rate or lead order. The head is fitted on
folds 1-8 (or what the task says), its settings chosen on validation, and the test part is predicted once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.atomic import check_output
from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.evaluation.features.cache import features_of
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.own import check_classes
from ecgkit.evaluation.heads.settings import build_head, check_head, check_regresses, head_config
from ecgkit.evaluation.probe.leaks import refuse_leak
from ecgkit.evaluation.probe.options import USUAL, ProbeOptions
from ecgkit.evaluation.probe.other_store import Site, across, follow
from ecgkit.evaluation.probe.result import Setting
from ecgkit.evaluation.probe.run import PreparedProbe
from ecgkit.evaluation.probe.split import ChosenSplit, choose_split
from ecgkit.evaluation.protocols.lead_sets import LeadSet, lead_set
from ecgkit.evaluation.protocols.protocol import Protocol, load_protocol
from ecgkit.evaluation.results.row import RESULT, ResultRow
from ecgkit.methods import Encoder
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.loading import load_task
from ecgkit.tasks.task import Task
from ecgkit.training.run import pick_device
from ecgkit.training.supply import open_supplies

Watch = Callable[[str, int, int], None]


def probe(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    out: Path,
    options: ProbeOptions = USUAL,
    progress: Watch | None = None,
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
        LeakError: Pretraining saw test records or patients.
        OutputError: `out` is something else than an earlier result.
    """
    began = time.perf_counter()
    check_output(out, RESULT, overwrite=True)
    prepared = prepare_probe(subject, store, task_entry, head_entry, options, progress)
    return prepared.run(out, began=began)


def prepare_probe(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    options: ProbeOptions = USUAL,
    progress: Watch | None = None,
) -> PreparedProbe:
    """Do what all probes of an encoder by a task share: open the data and extract features; see `probe`."""
    watch = progress or (lambda stage, done, total: None)
    task = load_task(task_entry, options.task_settings)
    _check_head(subject, head_entry, task, task_entry.name)
    device, protocol = pick_device(options.device), load_protocol(options.protocol)
    build = partial(
        build_head,
        head_entry,
        config=head_config(head_entry, options.head_settings),
        device=device,
        regression=task.regression is not None,
    )
    given = lead_set(options.leads) if options.leads else None
    opened = _open_data(subject, store, task, task_entry.name, given, protocol, options, watch)
    refuse_leak(subject, opened.store, opened.test_rows, allow=options.allow_overlap)
    reader = _reader(subject, head_entry, build, opened, options.seed, device)
    setting = opened.setting(reader.data, given, options.seed, device)
    features = None
    if not trains_encoder(subject, head_entry):
        features = _features(subject, reader, head_entry, setting, options, watch)
    order = opened.order if reader.data is opened.data else reader.data.parts["train"]
    return PreparedProbe(
        subject, setting, head_entry, reader.build, options, features, reader.encoder, reader.needs, protocol, order,
        opened.split.departures, watch,
    )  # fmt: skip


def trains_encoder(subject: Subject, head: HeadEntry) -> bool:
    """Return whether a probe trains the encoder itself, from scratch or from its pretrained weights."""
    return subject.weights == "scratch" or "encoder" in head.needs


def _check_head(subject: Subject, head: HeadEntry, task: Task, name: str) -> None:
    """Refuse a head that does not fit the encoder or the task.

    Raises:
        RunError: It does not.
    """
    if not trains_encoder(subject, head):
        check_head(head, subject.entry)
    if task.regression is not None:
        scratch = subject.weights == "scratch"
        check_regresses("--scratch" if scratch else head.name, None if scratch else head, name)


@dataclass(frozen=True)
class _Opened:
    """The data of a probe.

    Args:
        store: The store; with a test on another one, both as one.
        view: What the model is given of it.
        name: Of the task, for the result.
        data: The task's records.
        order: What draws choose from; see `PreparedProbe`.
        split: How the first store was split.
    """

    store: Store
    view: View
    name: str
    data: TaskData
    order: NDArray[np.int64]
    split: ChosenSplit

    @property
    def test_rows(self) -> NDArray[np.int64]:
        """The store's rows that are tested."""
        return self.data.rows[self.data.parts["test"]]

    def setting(self, data: TaskData, given: LeadSet | None, seed: int, device: torch.device) -> Setting:
        """Return the task on the store, with the records that the head reads."""
        return Setting(
            self.store, self.view, self.name, data.task, data, seed, device,
            lead_set=given.name if given else "", words=self.split.words, hashes=self.split.hashes,
        )  # fmt: skip


def _open_data(
    subject: Subject,
    store: Store,
    task: Task,
    name: str,
    given: LeadSet | None,
    protocol: Protocol,
    options: ProbeOptions,
    watch: Watch,
) -> _Opened:
    """Open the store's view, split the task, and put the store that is tested instead behind it, where there is one."""

    def narrow(view: View) -> View:
        return view.only(given.leads) if given else view

    def viewed(done: int, total: int) -> None:
        watch("view", done, total)

    view = narrow(open_view(store, subject.spec, viewed))
    split = choose_split(task, name, store, view.usable, protocol, options)
    data = split.data
    if not options.eval_data:
        return _Opened(store, view, name, data, split.order, split)
    here = Site(store, view, replace(data, told={**data.told, **split.words}))
    there = across(here, Store(Path(options.eval_data)), subject, narrow, viewed)
    order = follow(split.order, data, there.data)
    return _Opened(there.store, there.view, f"{name}@{Path(options.eval_data).stem}", there.data, order, split)


@dataclass(frozen=True)
class _Reader:
    """What the features are of: the encoder, or what the head makes of the whole method.

    Args:
        encoder: On its device.
        needs: Which features.
        build: Gives a head for a seed.
        data: The task's records that are read.
    """

    encoder: Encoder
    needs: tuple[str, ...]
    build: Callable[[int], Any]
    data: TaskData


def _reader(
    subject: Subject,
    entry: HeadEntry,
    build: Callable[[int], Any],
    opened: _Opened,
    seed: int,
    device: torch.device,
) -> _Reader:
    if trains_encoder(subject, entry) or "method" not in entry.needs:
        return _Reader(subject.encoder.to(device), entry.needs, build, opened.data)
    head = build(seed)  # the one head there is, for it knows what the method was trained on
    encoder = head.reader(subject.load_method(), opened.data.task, subject.entry.name).to(device)
    return _Reader(encoder, ("pooled",), lambda seed: head, opened.data.without_training())


def _features(
    subject: Subject, reader: _Reader, head: HeadEntry, setting: Setting, options: ProbeOptions, watch: Watch
) -> RecordFeatures:
    """Return the features of all the task's records, from the cache where there is one."""
    encoder, needs = reader.encoder, reader.needs
    if "logits" in needs:
        check_classes(encoder.classes, setting.data.labels, head.name)
    store, view, rows = setting.store, setting.view, setting.data.rows
    supplies = open_supplies(encoder.needs, store, view, owner=subject.entry.name)
    # What a head makes of a method depends on class names and prompts too, and is not kept.
    return features_of(
        encoder, subject.config, store, view, rows, needs, cache=options.cache if encoder is subject.encoder else None,
        also=options.also, supplies=supplies, progress=lambda done, total: watch("features", done, total),
    )  # fmt: skip
