"""From predictions to a result row: scores, intervals, and in words what was done and what to be wary of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgkit.config import fingerprint, to_dict
from ecgkit.evaluation.metrics import auroc, average_precision
from ecgkit.evaluation.results import ClassScore, ResultRow, finite
from ecgkit.evaluation.statistics import bootstrap_auroc
from ecgkit.evaluation.subject import Subject
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.task import Task, TaskData
from ecgkit.training.run import environment

# Below this many test positives an AUROC says little; such classes are named in the row.
FEW_POSITIVES = 10
DRAWS = 1000


@dataclass(frozen=True)
class Fitted:
    """Predictions of all of a task's records, and how they came about.

    Args:
        probabilities: ``[len(data.rows), C]``.
        head: Name of the head.
        choices: What was tried and chosen.
        training: Metrics by epoch, where there was training.
        seen: By label, the name under which training met a class; see `ecgkit.evaluation.heads.base.Head`.
    """

    probabilities: NDArray[np.float64]
    head: str
    choices: dict[str, Any]
    training: tuple[dict[str, Any], ...]
    seen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """A task on a store, as one probe meets it.

    Args:
        store: The data.
        view: The store under the model's contract.
        name: Name of the task.
        task: The task.
        data: Its records, targets and split on the store.
        seed: Of the probe.
        device: What it was computed on.
        lead_set: Name of the lead set that the model was given, where not all of its own.
    """

    store: Store
    view: View
    name: str
    task: Task
    data: TaskData
    seed: int
    device: torch.device
    lead_set: str = ""

    @property
    def leads(self) -> tuple[str, ...]:
        """The contract's leads that some record of the task has."""
        there = np.flatnonzero(self.view.present[self.data.rows].any(0))
        return tuple(self.view.spec.leads[i] for i in there)


def result_row(subject: Subject, setting: Setting, fitted: Fitted, *, seconds: float) -> ResultRow:
    """Score the test part and return the row with everything that the numbers depend on."""
    store, task, data = setting.store, setting.task, setting.data
    test, patients = data.parts["test"], _patients(store, data)
    targets, scores = data.targets[test], fitted.probabilities[test]
    intervals = bootstrap_auroc(targets, scores, patients[test].tolist(), draws=DRAWS)
    classes = _class_scores(task, data, targets, scores, intervals.classes, fitted.seen)
    scored = [c for c in classes if c.auroc is not None]
    low, high = (finite(v) for v in intervals.macro)
    return ResultRow(
        run=subject.name,
        method=subject.entry.name,
        preset=subject.preset,
        weights=subject.weights,
        store=store.name,
        dataset=str(store.attributes["dataset"]),
        task=setting.name,
        task_title=task.title,
        head=fitted.head,
        leads=setting.leads,
        lead_set=setting.lead_set,
        fraction=1.0,
        seed=setting.seed,
        macro_auroc=_mean([c.auroc for c in scored]),
        macro_interval=None if low is None or high is None else (low, high),
        macro_auprc=_mean([c.auprc for c in scored]),
        classes=classes,
        counts={
            part: {"records": len(rows), "patients": len(set(patients[rows]))} for part, rows in data.parts.items()
        },
        protocol={**_protocol(task, fitted), **_given_leads(subject, setting), **_seen_means(classes)},
        warnings=(*_overlap(subject, setting), *_warnings(store, data, classes)),
        contract=_contract(setting),
        hashes={
            "store": store.content_hash,
            "split": fingerprint({part: _ids(store, data, rows) for part, rows in data.parts.items()}),
            "checkpoint": subject.checkpoint,
        },
        environment=environment(setting.device),
        seconds=round(seconds, 2),
        training=fitted.training,
    )


def _class_scores(
    task: Task,
    data: TaskData,
    targets: NDArray[np.int8],
    scores: NDArray[np.float64],
    intervals: NDArray[np.float64],
    seen: Mapping[str, str],
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
            seen=seen.get(label),
        )
        for c, label in enumerate(data.labels)
    )


def _protocol(task: Task, fitted: Fitted) -> dict[str, str]:
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


def _given_leads(subject: Subject, setting: Setting) -> dict[str, str]:
    """Say which leads the model was given, and what stood in for the others."""
    if not setting.lead_set:
        return {}
    fill = subject.encoder.fill
    rest = f"the model puts {fill} in place of the others" if fill else "the model saw nothing else"
    return {"leads": f"{', '.join(setting.leads)} in all parts; scaled over these alone; {rest}"}


def _seen_means(classes: tuple[ClassScore, ...]) -> dict[str, str]:
    """Say the means over the classes that training met by name, and over the others."""
    told = {}
    for title, met in (("seen classes", True), ("unseen classes", False)):
        members = [c for c in classes if c.seen is not None and bool(c.seen) == met]
        if members:
            mean = _mean([c.auroc for c in members])
            names = ", ".join(f"{c.label} as {c.seen!r}" if c.seen else c.label for c in members)
            told[title] = f"macro AUROC {'-' if mean is None else f'{mean:.4f}'} over {len(members)}: {names}"
    return told


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
    if data.unusable:
        found.append(f"{data.unusable} labelled records left out: none of the model's leads, or hardly any signal")
    if store.table["patient_id"].iloc[data.rows].isna().any():
        found.append("some records have no patient id: one patient may be on both sides of the split")
    found.append("one seed only")
    return tuple(found)


def _overlap(subject: Subject, setting: Setting) -> tuple[str, ...]:
    """Tell of test records, or patients, that the model's pretraining saw."""
    test = setting.store.table.iloc[setting.data.rows[setting.data.parts["test"]]]
    dataset = str(setting.store.attributes["dataset"])
    records = int(test["sha256"].isin(subject.seen).sum())
    patients = sum((dataset, patient) in subject.seen_patients for patient in test["patient_id"].dropna().unique())
    if not records and not patients:
        return ()
    return (f"LEAK: pretraining saw {records} of the {len(test)} test records and {patients} test patients",)


def _contract(setting: Setting) -> dict[str, Any]:
    spec, rows = setting.view.spec, setting.data.rows
    rates = sorted(set(setting.store.table["fs"].iloc[rows]))
    complete = int(setting.view.present[rows].all(1).sum())
    return {
        "input": str(spec),
        "from store": f"{', '.join(f'{fs:g}' for fs in rates)} Hz, leads by name, "
        f"{complete} of {len(rows)} records with all {len(spec.leads)} leads",
        "settings": to_dict(spec),
    }


def predictions(setting: Setting, fitted: Fitted) -> pd.DataFrame:
    """Return targets and probabilities of validation and test, one row a record."""
    store, data = setting.store, setting.data
    columns = store.table[["record_id", "patient_id"]]
    frames = []
    for part in ("val", "test"):
        rows = data.parts[part]
        frame = columns.iloc[data.rows[rows]].assign(part=part)
        for c, label in enumerate(data.labels):
            frame[f"y_{label}"] = data.targets[rows, c]
            frame[f"p_{label}"] = fitted.probabilities[rows, c]
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
