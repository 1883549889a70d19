"""Makes a result row from predictions: scores, intervals and warnings."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.choices import recorded
from ecgkit.config import fingerprint, to_dict
from ecgkit.evaluation.probe.leaks import archive_warnings, leak_warnings
from ecgkit.evaluation.probe.parts import copies_words, overlap_words
from ecgkit.evaluation.results.facts import Facts
from ecgkit.evaluation.results.row import ClassScore, ResultRow, finite
from ecgkit.evaluation.scores.bootstrap import finite_interval
from ecgkit.evaluation.scores.classification import FEW_POSITIVES, ClassificationScores, score_classes
from ecgkit.evaluation.scores.metrics import calibration
from ecgkit.evaluation.scores.regression import score_targets
from ecgkit.store.identity import independent_units
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData
from ecgkit.training.run import environment

if TYPE_CHECKING:
    from ecgkit.evaluation.probe.fitted import FittedProbe
    from ecgkit.evaluation.probe.opened import OpenedTask


def result_row(fitted: "FittedProbe", facts: Facts) -> ResultRow:
    """Score the test set and return the result row with everything that the numbers depend on."""
    probe, data = fitted.probe, fitted.data
    encoder, opened, store = probe.encoder, probe.opened, probe.opened.store
    patients = patients_of(store, data)
    scores = (_class_part if data.task.regression is None else _target_part)(fitted, patients)
    return ResultRow(
        run=encoder.name,
        method=encoder.entry.name,
        preset=encoder.preset,
        weights=encoder.weights,
        store=store.name,
        dataset=str(store.attributes["dataset"]),
        task=opened.name,
        task_title=data.task.title,
        head=probe.title,
        leads=opened.leads,
        lead_set=probe.lead_set,
        fraction=fitted.fraction,
        label_count=fitted.amount.count,
        seed=fitted.seed,
        **scores,
        counts={
            **{part: {"records": len(rows), "patients": len(set(patients[rows]))} for part, rows in data.parts.items()},
            **({"left out": data.left_out} if data.left_out else {}),
        },
        facts=facts,
        warnings=(
            *leak_warnings(facts.leak_guard),
            *archive_warnings(encoder, store),
            *_amount_warnings(fitted),
            *_warnings(data, scores["classes"], facts),
        ),
        contract=_contract(opened),
        hashes={
            **store.hashes,
            "split": fingerprint({part: _ids(store, data, rows) for part, rows in data.parts.items()}),
            "checkpoint": encoder.checkpoint,
            **({"features": features} if (features := probe.features_key) else {}),
            **opened.hashes,
        },
        environment={
            "date": datetime.now(UTC).date().isoformat(),
            **environment(probe.device),
            **({"defaults": recorded()} if recorded() else {}),
        },
        seconds=round(fitted.seconds, 2),
        training=fitted.training,
    )


def _class_part(fitted: "FittedProbe", patients: NDArray[Any]) -> dict[str, Any]:
    """Return the fields of a row that hold the scores of classes."""
    data, test = fitted.data, fitted.data.parts["test"]
    measured = score_classes(data, fitted.probabilities, patients)
    return {
        "macro_auroc": measured.means["auroc"].value,
        "macro_interval": measured.means["auroc"].interval,
        "macro_auprc": measured.means["auprc"].value,
        "classes": _class_scores(data, measured, fitted.seen),
        "means": measured.means,
        "calibration": calibration(data.targets[test], fitted.probabilities[test]),
    }


def _target_part(fitted: "FittedProbe", patients: NDArray[Any]) -> dict[str, Any]:
    """Return the fields of a row that hold the scores of predicted numbers."""
    nothing = {"macro_auroc": None, "macro_interval": None, "macro_auprc": None, "classes": ()}
    return {**nothing, "targets": score_targets(fitted.data, fitted.probabilities, patients)}


def _class_scores(data: TaskData, measured: ClassificationScores, seen: Mapping[str, str]) -> tuple[ClassScore, ...]:
    targets, train = data.targets[data.parts["test"]], data.targets[data.parts["train"]].sum(0)
    found = []
    for c, label in enumerate(data.labels):
        value = {name: finite(values[c]) for name, values in measured.values.items()}
        spread = {name: finite_interval(intervals.classes[c]) for name, intervals in measured.spreads.items()}
        score = ClassScore(
            label=label,
            name=data.task.labels[label].name,
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


def _amount_warnings(fitted: "FittedProbe") -> tuple[str, ...]:
    """Return a warning if more training records were asked for than the task has."""
    asked, used = fitted.amount.count, len(fitted.data.parts["train"])
    there = len(fitted.probe.data.parts["train"])
    if asked is None or asked <= there:
        return ()
    of = "all" if used == there else f"{used:,}"
    return (f"{asked:,} labelled training records were asked for; the task has {there:,}, and {of} of them were used",)


def _warnings(data: TaskData, classes: tuple[ClassScore, ...], facts: Facts) -> tuple[str, ...]:
    found = []
    unscored = [c.label for c in classes if c.auroc is None and not (c.positives and c.negatives)]
    if unscored:
        found.append(f"not scored, for test lacks positives or negatives: {', '.join(unscored)}")
    unlearnt = [c.label for c in classes if c.auroc is None and c.positives and c.negatives]
    if unlearnt:
        found.append(f"not scored, for training lacks positives or negatives: {', '.join(unlearnt)}")
    few = [f"{c.label} ({c.positives})" for c in classes if c.auroc is not None and c.positives < FEW_POSITIVES]
    if few:
        found.append(f"fewer than {FEW_POSITIVES} test positives: {', '.join(few)}")
    if data.left_out:
        why = ", ".join(f"{name} {count:,}" for name, count in data.left_out.items())
        found.append(f"records left out by what they lack: {why}")
    if facts.unusable:
        found.append(f"{facts.unusable} labelled records left out: none of the model's leads, or hardly any signal")
    if facts.without_patient:
        found.append("some records have no patient id: one patient may be on both sides of the split")
    found += data.notes
    if facts.overlap is not None and facts.overlap.found:
        found.append(f"LEAK: {overlap_words(facts.overlap)}")
    if facts.overlap is not None and facts.overlap.copies:
        found.append(copies_words(facts.overlap))
    if facts.seeds == 1:
        found.append("one seed only")
    return tuple(found)


def _contract(opened: "OpenedTask") -> dict[str, Any]:
    spec, rows = opened.view.spec, opened.data.rows
    rates = sorted(set(opened.store.table["fs"].iloc[rows]))
    complete = int(opened.view.present[rows].all(1).sum())
    return {
        "input": str(spec),
        "from store": f"{', '.join(f'{fs:g}' for fs in rates)} Hz, leads by name, "
        f"{complete} of {len(rows)} records with all {len(spec.leads)} leads",
        "settings": to_dict(spec),
    }


def predictions(store: Store, data: TaskData, probabilities: NDArray[np.float64]) -> pd.DataFrame:
    """Return targets and probabilities of the validation and test records, one row per record."""
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


def patients_of(store: Store, data: TaskData) -> NDArray[Any]:
    """Return the patient id of each record, or its recording if the patient is unknown.

    Windows of one recording are never independent of each other.
    """
    return independent_units(store.table[["record_id", "patient_id"]].iloc[data.rows])


def _ids(store: Store, data: TaskData, rows: NDArray[np.int64]) -> list[str]:
    return store.table["record_id"].iloc[data.rows[rows]].tolist()
