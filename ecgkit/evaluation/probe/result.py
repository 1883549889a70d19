"""From predictions to a result row: scores, intervals, and in words what was done and what to be wary of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgkit.config import fingerprint, to_dict
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.evaluation.probe.leaks import find_leak, leak_warnings
from ecgkit.evaluation.results.row import ClassScore, ResultRow, finite
from ecgkit.evaluation.scores.bootstrap import DRAWS, finite_interval
from ecgkit.evaluation.scores.classification import FEW_POSITIVES, ClassificationScores, score_classes
from ecgkit.evaluation.scores.metrics import calibration
from ecgkit.evaluation.scores.regression import score_targets
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.regression import describe
from ecgkit.tasks.task import Task
from ecgkit.training.run import environment


@dataclass(frozen=True)
class Fitted:
    """Predictions of all of a task's records, and how they came about.

    Args:
        probabilities: ``[len(data.rows), C]``; of a regression, the predicted numbers.
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
        fraction: Share of the training part that was asked for; with `label_count`, that was used.
        label_count: How many labelled training records were asked for; None for all.
        lead_set: Name of the lead set that the model was given, where not all of its own.
        words: What else the protocol card says, by heading.
        hashes: Of what else the numbers depend on.
        seeds: How many results with other seeds are made beside it.
    """

    store: Store
    view: View
    name: str
    task: Task
    data: TaskData
    seed: int
    device: torch.device
    fraction: float = 1.0
    label_count: int | None = None
    lead_set: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    seeds: int = 1

    @property
    def leads(self) -> tuple[str, ...]:
        """The contract's leads that some record of the task has."""
        there = np.flatnonzero(self.view.present[self.data.rows].any(0))
        return tuple(self.view.spec.leads[i] for i in there)


def result_row(subject: Subject, setting: Setting, fitted: Fitted, *, seconds: float) -> ResultRow:
    """Score the test part and return the row with everything that the numbers depend on."""
    store, task, data = setting.store, setting.task, setting.data
    patients = patients_of(store, data)
    scores = (
        _class_part(task, data, fitted, patients) if task.regression is None else _target_part(data, fitted, patients)
    )
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
        fraction=setting.fraction,
        label_count=setting.label_count,
        seed=setting.seed,
        **scores,
        counts={
            **{part: {"records": len(rows), "patients": len(set(patients[rows]))} for part, rows in data.parts.items()},
            **({"left out": data.left_out} if data.left_out else {}),
        },
        protocol={
            **setting.words,  # first on the card, and last where it says more than the task does
            **_protocol(setting, fitted),
            **_checkpoint(subject, fitted),
            **setting.words,
            **data.told,
            **_given_leads(subject, setting),
            **_leak_guard(subject, setting),
            **_seen_means(scores["classes"]),
        },
        warnings=(
            *leak_warnings(subject, store, data.rows[data.parts["test"]]),
            *_warnings(setting, scores["classes"]),
        ),
        contract=_contract(setting),
        hashes={
            **store.hashes,
            "split": fingerprint({part: _ids(store, data, rows) for part, rows in data.parts.items()}),
            "checkpoint": subject.checkpoint,
            **setting.hashes,
        },
        environment=environment(setting.device),
        seconds=round(seconds, 2),
        training=fitted.training,
    )


def _class_part(task: Task, data: TaskData, fitted: Fitted, patients: NDArray[Any]) -> dict[str, Any]:
    """Return the fields of a row that score classes."""
    measured, test = score_classes(data, fitted.probabilities, patients), data.parts["test"]
    return {
        "macro_auroc": measured.means["auroc"].value,
        "macro_interval": measured.means["auroc"].interval,
        "macro_auprc": measured.means["auprc"].value,
        "classes": _class_scores(task, data, measured, fitted.seen),
        "means": measured.means,
        "calibration": calibration(data.targets[test], fitted.probabilities[test]),
    }


def _target_part(data: TaskData, fitted: Fitted, patients: NDArray[Any]) -> dict[str, Any]:
    """Return the fields of a row that score predicted numbers."""
    nothing = {"macro_auroc": None, "macro_interval": None, "macro_auprc": None, "classes": ()}
    return {**nothing, "targets": score_targets(data, fitted.probabilities, patients)}


def _class_scores(
    task: Task, data: TaskData, measured: ClassificationScores, seen: Mapping[str, str]
) -> tuple[ClassScore, ...]:
    targets, train = data.targets[data.parts["test"]], data.targets[data.parts["train"]].sum(0)
    found = []
    for c, label in enumerate(data.labels):
        value = {name: finite(values[c]) for name, values in measured.values.items()}
        spread = {name: finite_interval(intervals.classes[c]) for name, intervals in measured.spreads.items()}
        score = ClassScore(
            label=label,
            name=task.labels[label].name,
            positives=int(targets[:, c].sum()),
            negatives=int((1 - targets[:, c]).sum()),
            train_positives=int(train[c]),
            auroc=value["auroc"],
            interval=spread["auroc"],
            auprc=value["auprc"],
            auprc_interval=spread["auprc"],
            f1=value["f1"],
            f1_interval=spread["f1"],
            threshold=finite(measured.thresholds[c]),
            f1_max=value["f1_max"],
            sensitivity=value["sensitivity"],
            standard_error=finite(measured.standard_errors[c]),
            seen=seen.get(label),
        )
        found.append(score)
    return tuple(found)


def _protocol(setting: Setting, fitted: Fitted) -> dict[str, str]:
    task = setting.task
    return {
        "labels": task.source,
        **({"label set": task.label_set} if task.has_shipped else {}),
        **_selection(setting),
        **{name: _words(value) for name, value in fitted.choices.items()},
        "test": "predicted once, after every choice was made on val",
        "metric": "AUROC a class, macro mean over the classes with positives and negatives in test; "
        "F1 at thresholds chosen on val"
        if task.regression is None
        else "mean absolute error, root mean squared error, R2 and Pearson's r, in the target's own unit; beside them "
        "a predictor that says the training mean of every record",
        "interval": f"95 %, percentile bootstrap over patients, {DRAWS} draws, over test records only: "
        "it does not hold the variation between seeds",
    }


def _checkpoint(subject: Subject, fitted: Fitted) -> dict[str, str]:
    """Say which weights of the encoder were judged, and how they were chosen."""
    if subject.weights == "scratch":
        return {"checkpoint selection": str(fitted.choices["chosen"])}
    return {"checkpoint selection": subject.selection or f"none: {subject.checkpoint}"}


def _selection(setting: Setting) -> dict[str, str]:
    """Say which records take part, and how they are split."""
    task = setting.task
    if task.icd10 is not None:
        return {
            "scenario": f"{task.icd10.scenario}, labels counted in {task.icd10.count_on} rows",
            "unlabelled records": "left out where the stay has no diagnosis, else kept as negatives",
            "split": "the table's own folds: the last tests, the one before validates; folds go by patient",
        }
    parts = ((name, getattr(task.split, name)) for name in ("train", "val", "test"))
    folds = ", ".join(f"{name} folds {', '.join(map(str, of))}" for name, of in parts)
    split = {"split": f"{folds}; folds go by patient"}
    if task.regression is not None:
        return {**describe(task.regression, setting.name, setting.store), **split}
    return {"unlabelled records": "left out" if task.unlabelled == "drop" else "kept as negatives", **split}


def _given_leads(subject: Subject, setting: Setting) -> dict[str, str]:
    """Say which leads the model was given, and what stood in for the others."""
    if not setting.lead_set:
        return {}
    fill = subject.encoder.fill
    rest = f"the model puts {fill} in place of the others" if fill else "the model saw nothing else"
    return {"leads": f"{', '.join(setting.leads)} in all parts; scaled over these alone; {rest}"}


def _leak_guard(subject: Subject, setting: Setting) -> dict[str, str]:
    """Say whether the test part was held against what pretraining saw."""
    if subject.weights != "pretrained" or not subject.seen:
        return {}
    found = find_leak(subject, setting.store, setting.data.rows[setting.data.parts["test"]])
    told = "overlap allowed by --allow-overlap" if found else "no test record or patient in the pretraining data"
    return {"leak guard": f"{told}; held against its train and val by waveform and by patient id"}


def _seen_means(classes: tuple[ClassScore, ...]) -> dict[str, str]:
    """Say the means over the classes that training met by name, and over the others."""
    told = {}
    for title, met in (("seen classes", True), ("unseen classes", False)):
        members = [c for c in classes if c.seen is not None and bool(c.seen) == met]
        if members:
            scored = [c.auroc for c in members if c.auroc is not None]
            mean = float(np.mean(scored)) if scored else None
            names = ", ".join(f"{c.label} as {c.seen!r}" if c.seen else c.label for c in members)
            told[title] = f"macro AUROC {'-' if mean is None else f'{mean:.4f}'} over {len(members)}: {names}"
    return told


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {v:.4f}" if isinstance(v, float) else f"{key}: {v}" for key, v in value.items())
    return str(value)


def _warnings(setting: Setting, classes: tuple[ClassScore, ...]) -> tuple[str, ...]:
    store, data, found = setting.store, setting.data, []
    unscored = [c.label for c in classes if c.auroc is None]
    if unscored:
        found.append(f"not scored, for test lacks positives or negatives: {', '.join(unscored)}")
    few = [f"{c.label} ({c.positives})" for c in classes if c.auroc is not None and c.positives < FEW_POSITIVES]
    if few:
        found.append(f"fewer than {FEW_POSITIVES} test positives: {', '.join(few)}")
    if data.left_out:
        why = ", ".join(f"{name} {count:,}" for name, count in data.left_out.items())
        found.append(f"records left out by what they lack: {why}")
    unlearnt = [c.label for c in classes if c.auroc is not None and not c.train_positives]
    if unlearnt and len(data.parts["train"]):
        found.append(f"no training positive, so nothing could be learnt: {', '.join(unlearnt)}")
    if data.unusable:
        found.append(f"{data.unusable} labelled records left out: none of the model's leads, or hardly any signal")
    if store.table["patient_id"].iloc[data.rows].isna().any():
        found.append("some records have no patient id: one patient may be on both sides of the split")
    found += data.notes
    if setting.seeds == 1:
        found.append("one seed only")
    return tuple(found)


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


def patients_of(store: Store, data: TaskData) -> NDArray[Any]:
    """Return the patient of each record, or the record itself where no patient is known."""
    table = store.table.iloc[data.rows]
    return table["patient_id"].fillna("record " + table["record_id"]).to_numpy(dtype=str)


def _ids(store: Store, data: TaskData, rows: NDArray[np.int64]) -> list[str]:
    return store.table["record_id"].iloc[data.rows[rows]].tolist()
