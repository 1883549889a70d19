"""Probe: judge an encoder by a task, under one protocol, and write down everything the number depends on.

The encoder's own contract builds its input from any store, whatever its rate or lead order. The head is fitted on
folds 1-8 (or what the task says), its settings chosen on validation, and the test part is predicted once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ecgkit.atomic import check_output
from ecgkit.config import fingerprint, override, to_dict
from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry, load_target
from ecgkit.errors import ConfigError, RunError
from ecgkit.evaluation.features import extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.results import RESULT, ResultRow, save_row
from ecgkit.evaluation.scoring import Fitted, Setting, predictions, result_row
from ecgkit.evaluation.subject import Subject
from ecgkit.evaluation.supervised import RECIPE, train_supervised
from ecgkit.methods import Encoder
from ecgkit.plugins import host
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.task import TaskData, load_task, task_data
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
        head_config: Settings of a head that has some; None for its defaults.
    """

    head: str = "linear"
    seed: int = 0
    epochs: int | None = None
    device: str = "auto"
    head_config: Any = None


def head_config(entry: HeadEntry, assignments: Sequence[str] = ()) -> Any:
    """Return a head's settings, changed by assignments such as ``gate=frozen``; None for a head without settings.

    Raises:
        ConfigError: The head has no settings to change, or a key or value does not fit.
    """
    if not entry.config:
        if assignments:
            raise ConfigError(f"--set {assignments[0]!r} for head {entry.name}", "nothing: it has no settings")
        return None
    kind = load_target(entry.config, f"the settings of head {entry.name!r}")
    return override(kind(), assignments)


def build_head(entry: HeadEntry, seed: int, config: Any = None) -> Head:
    """Return a head, with its settings if it has some."""
    settings = {"config": config or head_config(entry)} if entry.config else {}
    head: Head = entry.load()(seed=seed, **settings)
    return head


def head_title(entry: HeadEntry, config: Any = None) -> str:
    """Return a head's name with the settings that are not its defaults, such as ``pma (gate=frozen)``."""
    if config is None:
        return entry.name
    usual = to_dict(head_config(entry))
    changed = ", ".join(f"{key}={_brief(v, usual[key])}" for key, v in to_dict(config).items() if v != usual[key])
    return f"{entry.name} ({changed})" if changed else entry.name


def _brief(value: Any, usual: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return " ".join(f"{key}={v}" for key, v in value.items() if v != usual.get(key))


def check_head(entry: HeadEntry, method: MethodEntry) -> None:
    """Refuse a head that reads what an encoder does not give.

    Raises:
        RunError: The message names the heads that fit.
    """
    gives = {"pooled", *method.features}
    if {"tokens", "token_leads"} <= gives:
        gives.add("per_lead")  # pooled from the tokens of each lead
    missing = [need for need in entry.needs if need not in gives]
    if missing:
        fit = [h.name for h in host().entries(HeadEntry).values() if set(h.needs) <= gives]
        raise RunError(
            f"{method.name} gives no {missing[0]} features, which head {entry.name} reads", f"one of {', '.join(fit)}"
        )


def result_folder(parent: Path, task: str, subject: Subject, store: Store, options: ProbeOptions) -> Path:
    """Return where a result lies by default: below its run, named by all that may differ between two results."""
    head = "end-to-end" if subject.weights == "scratch" else options.head
    settings = () if options.head_config is None else (options.head_config,)
    rest = fingerprint(subject.config, store.content_hash, options.epochs, *settings)[:6]
    return parent / "probes" / f"{task}-{head}-{store.name.removesuffix('.zarr')}-seed{options.seed}-{rest}"


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
    if subject.weights != "scratch":
        check_head(head_entry, subject.entry)
    task = load_task(task_entry)
    device = pick_device(options.device)
    view = open_view(store, subject.spec, lambda done, total: watch("view", done, total))
    data = task_data(task, task_entry.name, store, view.usable)
    encoder = subject.encoder.to(device)
    if subject.weights == "scratch":
        fitted = _train_from_scratch(encoder, store, view, data, subject, options, watch)
    else:
        fitted = _fit_head(encoder, store, view, data, subject, head_entry, options, watch)
    setting = Setting(store, view, task_entry.name, task, data, options.seed, device)
    row = result_row(subject, setting, fitted, seconds=time.perf_counter() - began)
    save_row(out, row, predictions(setting, fitted))
    return row


def _fit_head(
    encoder: Encoder,
    store: Store,
    view: View,
    data: TaskData,
    subject: Subject,
    entry: HeadEntry,
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> Fitted:
    features = extract(
        encoder,
        view,
        data.rows,
        entry.needs,
        supplies=open_supplies(encoder.needs, store, view, owner=subject.entry.name),
        progress=lambda done, total: watch("features", done, total),
    )
    head = build_head(entry, options.seed, options.head_config)
    head.progress(lambda done, total: watch("head", done, total))
    train, val = (Part(features.take(data.parts[p]), data.targets[data.parts[p]]) for p in ("train", "val"))
    watch("head", 0, 1)
    head.fit(train, val)
    watch("head", 1, 1)
    return Fitted(head.predict(features), head_title(entry, options.head_config), head.choices(), subject.training)


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
