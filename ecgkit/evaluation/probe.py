"""Probe: judge an encoder by a task, under one protocol, and write down everything the number depends on.

The encoder's own contract builds its input from any store, whatever its rate or lead order. The head is fitted on
folds 1-8 (or what the task says), its settings chosen on validation, and the test part is predicted once.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgkit.config import fingerprint, to_dict
from ecgkit.entries import HeadEntry, MethodEntry, TaskEntry
from ecgkit.evaluation.features import extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.metrics import auroc, average_precision
from ecgkit.evaluation.results import ClassScore, ResultRow, finite, save_row
from ecgkit.evaluation.statistics import bootstrap_auroc
from ecgkit.evaluation.supervised import RECIPE, train_supervised
from ecgkit.evaluation.task import Task, TaskData, load_task, task_data
from ecgkit.methods import Encoder, Method
from ecgkit.signal.spec import SignalSpec
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.training.run import WEIGHTS, environment, open_run, pick_device, read_metrics
from ecgkit.training.weights import file_sha256

# Below this many test positives an AUROC says little; such classes are named in the row.
FEW_POSITIVES = 10
DRAWS = 1000


@dataclass(frozen=True)
class Subject:
    """The encoder that is judged.

    Args:
        name: What the report calls it.
        entry: Its method family.
        preset: The preset its config started from.
        config: Its config.
        weights: ``pretrained``, ``random-init`` or ``scratch``.
        encoder: The encoder, on the CPU.
        checkpoint: Hash of its weights' file, or what they were drawn from.
        training: Its pretraining's metrics by epoch.
    """

    name: str
    entry: MethodEntry
    preset: str
    config: Any
    weights: str
    encoder: Encoder
    checkpoint: str
    training: tuple[dict[str, Any], ...] = ()

    @property
    def spec(self) -> SignalSpec:
        """The encoder's input."""
        spec: SignalSpec = self.config.signal
        return spec


def pretrained_subject(path: Path) -> Subject:
    """Return the encoder of a run folder.

    Raises:
        RunError: It is not a finished run.
    """
    run = open_run(path)
    checkpoint = file_sha256(path / WEIGHTS)
    training = tuple(read_metrics(path))
    name = path.resolve().name
    return Subject(name, run.entry, run.preset, run.config, "pretrained", run.encoder(), checkpoint, training)


def untrained_subject(entry: MethodEntry, preset: str, config: Any, *, weights: str, seed: int) -> Subject:
    """Return an encoder with random weights: ``random-init`` to be probed as it is, ``scratch`` to be trained."""
    torch.manual_seed(seed)
    method: Method = entry.load()(config)
    name = f"{entry.name}-{preset or 'custom'}-{weights}"
    return Subject(name, entry, preset, config, weights, method.encoder, f"random weights, seed {seed}")


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe.

    Args:
        head: Name of the head on frozen features; not used for ``scratch``.
        seed: Of the head, or of the training from scratch.
        epochs: Of the training from scratch; None for the recipe's.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    head: str = "linear"
    seed: int = 0
    epochs: int | None = None
    device: str = "auto"


def result_folder(parent: Path, task: str, subject: Subject, store: Store, options: ProbeOptions) -> Path:
    """Return where a result lies by default: below its run, named by all that may differ between two results."""
    head = "end-to-end" if subject.weights == "scratch" else options.head
    return parent / "probes" / f"{task}-{head}-{store.name.removesuffix('.zarr')}-seed{options.seed}"


@dataclass(frozen=True)
class _Fitted:
    """Probabilities ``[len(rows), C]`` and how they came about."""

    probabilities: NDArray[np.float64]
    head: str
    choices: dict[str, Any]
    training: tuple[dict[str, Any], ...]


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
    """
    began = time.perf_counter()
    watch = progress or (lambda stage, done, total: None)
    task = load_task(task_entry)
    data = task_data(task, task_entry.name, store)
    view = open_view(store, subject.spec, lambda done, total: watch("view", done, total))
    encoder = subject.encoder.to(pick_device(options.device))
    if subject.weights == "scratch":
        fitted = _train_from_scratch(encoder, view, data, subject, options, watch)
    else:
        fitted = _fit_head(encoder, view, data, subject, head_entry, options, watch)
    row = _row(subject, store, task_entry.name, task, data, fitted, options, began)
    save_row(out, row, _predictions(store, data, fitted.probabilities))
    return row


def _fit_head(
    encoder: Encoder,
    view: View,
    data: TaskData,
    subject: Subject,
    entry: HeadEntry,
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> _Fitted:
    features = extract(
        encoder,
        view,
        data.rows,
        need=entry.needs,
        progress=lambda done, total: watch("features", done, total),
    )
    head: Head = entry.load()(seed=options.seed)
    train, val = (Part(features[data.parts[p]], data.targets[data.parts[p]]) for p in ("train", "val"))
    watch("head", 0, 1)
    head.fit(train, val)
    watch("head", 1, 1)
    return _Fitted(head.predict(features), entry.name, head.choices(), subject.training)


def _train_from_scratch(
    encoder: Encoder,
    view: View,
    data: TaskData,
    subject: Subject,
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> _Fitted:
    recipe = RECIPE if options.epochs is None else replace(RECIPE, epochs=options.epochs)
    trained = train_supervised(
        encoder, view, data, recipe=recipe, seed=options.seed,
        progress=lambda done, total: watch("epochs", done, total),
    )  # fmt: skip
    return _Fitted(trained.probabilities, "end-to-end", trained.choices, trained.metrics)


def _row(
    subject: Subject,
    store: Store,
    task_name: str,
    task: Task,
    data: TaskData,
    fitted: _Fitted,
    options: ProbeOptions,
    began: float,
) -> ResultRow:
    test, patients = data.parts["test"], _patients(store, data)
    targets, scores = data.targets[test], fitted.probabilities[test]
    intervals = bootstrap_auroc(targets, scores, patients[test].tolist(), draws=DRAWS)
    classes = _class_scores(task, data, targets, scores, intervals.classes)
    scored = [c for c in classes if c.auroc is not None]
    low, high = (finite(v) for v in intervals.macro)
    return ResultRow(
        run=subject.name,
        method=subject.entry.name,
        preset=subject.preset,
        weights=subject.weights,
        store=store.name,
        dataset=str(store.attributes["dataset"]),
        task=task_name,
        task_title=task.title,
        head=fitted.head,
        leads=subject.spec.leads,
        fraction=1.0,
        seed=options.seed,
        macro_auroc=_mean([c.auroc for c in scored]),
        macro_interval=None if low is None or high is None else (low, high),
        macro_auprc=_mean([c.auprc for c in scored]),
        classes=classes,
        counts={
            part: {"records": len(rows), "patients": len(set(patients[rows]))} for part, rows in data.parts.items()
        },
        protocol=_protocol(task, fitted),
        warnings=_warnings(store, data, classes),
        contract=_contract(subject.spec, store, data),
        hashes={
            "store": store.content_hash,
            "split": fingerprint({part: _ids(store, data, rows) for part, rows in data.parts.items()}),
            "checkpoint": subject.checkpoint,
        },
        environment=environment(),
        seconds=round(time.perf_counter() - began, 2),
        training=fitted.training,
    )


def _class_scores(
    task: Task,
    data: TaskData,
    targets: NDArray[np.int8],
    scores: NDArray[np.float64],
    intervals: NDArray[np.float64],
) -> tuple[ClassScore, ...]:
    areas, precisions = auroc(targets, scores), average_precision(targets, scores)
    train = data.targets[data.parts["train"]].sum(0)
    return tuple(
        ClassScore(
            label=label,
            name=task.labels[label].name,
            positives=int(targets[:, c].sum()),
            negatives=int((1 - targets[:, c]).sum()),
            train_positives=int(train[c]),
            auroc=finite(areas[c]),
            interval=None if not np.isfinite(areas[c]) else (float(intervals[c, 0]), float(intervals[c, 1])),
            auprc=finite(precisions[c]) if np.isfinite(areas[c]) else None,
        )
        for c, label in enumerate(data.labels)
    )


def _protocol(task: Task, fitted: _Fitted) -> dict[str, str]:
    split = task.split
    folds = ", ".join(f"{name} folds {', '.join(map(str, getattr(split, name)))}" for name in ("train", "val", "test"))
    return {
        "protocol": "ecgkit (default)",
        "labels": task.source,
        "unlabelled records": "left out" if task.unlabelled == "drop" else "kept as negatives",
        "split": f"{folds}; folds go by patient",
        **{name: _words(value) for name, value in fitted.choices.items()},
        "test": "predicted once, after every choice was made on val",
        "metric": "AUROC a class, macro mean over the classes with positives and negatives in test",
        "interval": f"95 %, percentile bootstrap over patients, {DRAWS} draws, over test records only: "
        "it does not hold the variation between seeds",
    }


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {v:.4f}" if isinstance(v, float) else f"{key}: {v}" for key, v in value.items())
    return str(value)


def _warnings(store: Store, data: TaskData, classes: tuple[ClassScore, ...]) -> tuple[str, ...]:
    found = []
    unscored = [c.label for c in classes if c.auroc is None]
    if unscored:
        found.append(f"not scored, for test lacks positives or negatives: {', '.join(unscored)}")
    few = [f"{c.label} ({c.positives})" for c in classes if c.auroc is not None and c.positives < FEW_POSITIVES]
    if few:
        found.append(f"fewer than {FEW_POSITIVES} test positives: {', '.join(few)}")
    if store.table["patient_id"].iloc[data.rows].isna().any():
        found.append("some records have no patient id: one patient may be on both sides of the split")
    found.append("one seed only")
    return tuple(found)


def _contract(spec: SignalSpec, store: Store, data: TaskData) -> dict[str, Any]:
    rates = sorted(set(store.table["fs"].iloc[data.rows]))
    complete = int(store.present(spec.leads)[data.rows].all(1).sum())
    return {
        "input": str(spec),
        "from store": f"{', '.join(f'{fs:g}' for fs in rates)} Hz, leads by name, "
        f"{complete} of {len(data.rows)} records with all {len(spec.leads)} leads",
        "settings": to_dict(spec),
    }


def _predictions(store: Store, data: TaskData, probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """Return targets and probabilities of validation and test, one row a record."""
    columns = store.table[["record_id", "patient_id"]]
    frames = []
    for part in ("val", "test"):
        rows = data.parts[part]
        frame = columns.iloc[data.rows[rows]].assign(part=part)
        for c, label in enumerate(data.labels):
            frame[f"y_{label}"] = data.targets[rows, c]
            frame[f"p_{label}"] = probabilities[rows, c]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _patients(store: Store, data: TaskData) -> NDArray[Any]:
    """Return the patient of each record, or the record itself where no patient is known."""
    table = store.table.iloc[data.rows]
    return table["patient_id"].fillna("record " + table["record_id"]).to_numpy(dtype=str)


def _ids(store: Store, data: TaskData, rows: NDArray[np.int64]) -> list[str]:
    return store.table["record_id"].iloc[data.rows[rows]].tolist()


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
