"""Writes the sentences of a protocol card from the facts of a result.

Pages and commands both show them. No code reads the sentences back; comparisons read the facts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ecgkit.evaluation.results.facts import (
    Departure,
    DrawFacts,
    Facts,
    IntervalFacts,
    LabelFacts,
    LeakFacts,
    TransferFacts,
)
from ecgkit.evaluation.results.row import ClassScore, ResultRow
from ecgkit.tasks.regression import FORMULAS

PARTS = ("train", "val", "test")
RULES = {
    "stratified": "whole patients (records where no id is known), iteratively stratified by label, the smaller draw "
    "inside the larger",
    "train-test-split": "by record, not stratified, train_test_split",
    "sample": "by record, not stratified, int(N r) rows",
}
UNLABELLED = {
    "drop": "left out",
    "keep": "kept as negatives",
    "drop without diagnosis": "left out where the stay has no diagnosis, else kept as negatives",
}

UNSURE = {
    "negative": "counted as negative",
    "positive": "counted as positive",
    "drop": "records whose report is unsure of a class are left out",
}


def sentences(row: ResultRow) -> dict[str, str]:
    """Return everything that a result's numbers depend on, as sentences by heading."""
    facts = row.facts
    if facts.old_words:
        return dict(facts.old_words)
    return {
        **_protocol(facts),
        **_labels(facts),
        **({"split": split_words(facts)} if facts.split.kind else {}),
        **({"draw of training records": _draw(facts.draw)} if facts.draw else {}),
        **{name: _value(value) for name, value in facts.head.items()},
        **_scoring(row),
        "checkpoint selection": checkpoint_words(facts),
        **{f"pretrained on {need}": origin for need, origin in facts.checkpoint.origins.items()},
        **_leads(facts),
        **_leak_guard(facts),
        **(transfer_words(facts.transfer) if facts.transfer else {}),
        **_seen_means(row.classes),
    }


def protocol_words(facts: Facts) -> str:
    """Return the name of the protocol, its title, and the choices that depart from it."""
    if facts.old_words:
        return facts.old_words.get("protocol", facts.protocol.name)
    name, departures = facts.protocol.name, facts.protocol.departures
    title = f"{name} ({facts.protocol.title})"
    if name == "default" and not departures:
        return title
    return f"{title}; departs in {', '.join(d.choice for d in departures) or 'nothing'}"


def _protocol(facts: Facts) -> dict[str, str]:
    if not facts.protocol.name:
        return {}
    departures = "; ".join(f"{d.choice}: {_departure(d)}" for d in facts.protocol.departures)
    return {"protocol": protocol_words(facts), "departures": departures or "none"}


def _departure(departure: Departure) -> str:
    if departure.note:
        return departure.note
    match departure.choice:
        case "draw":
            return f"random state {departure.used}; the protocol has {departure.protocol}"
        case "split":
            return "the task's own; the protocol has published tables, which --splits reads"
    return f"{departure.used}; the protocol has {departure.protocol}"


def _labels(facts: Facts) -> dict[str, str]:
    labels = facts.labels
    targets = {
        name: f"{FORMULAS[of.formula].words if of.formula in FORMULAS else of.formula}; plausible from {of.low:g} to "
        f"{of.high:g} {of.unit}" + (f" ({of.rule})" if of.rule else "")
        for name, of in labels.targets.items()
    }
    scenario = {"scenario": f"{labels.scenario}, labels counted in {labels.counted_in} rows"} if labels.scenario else {}
    return {
        **({"labels": _origin(labels)} if labels.source or labels.table or labels.extraction else {}),
        **({"uncertain entities": UNSURE[labels.uncertain]} if labels.uncertain else {}),
        **({"label set": labels.label_set} if labels.label_set else {}),
        **scenario,
        **targets,
        **_unlabelled(facts),
    }


def _origin(labels: LabelFacts) -> str:
    if labels.extraction is not None:
        return (
            f"entities of the reports, positive in at least {labels.min_count} training records, out of "
            f"{labels.extraction}, hash {labels.extraction.sha256}"
        )
    if not labels.table:
        return labels.source
    columns = f"column{'s' * (len(labels.columns) > 1)} {', '.join(labels.columns)}"
    return f"{columns} of {labels.table}, sha256 {labels.table_sha256}"


def _unlabelled(facts: Facts) -> dict[str, str]:
    if facts.transfer is not None:
        text = (
            "training store as the task says; tested store: records without any label are left out, others without a "
            "shared class are negatives"
        )
    elif facts.labels.table:
        text = "records that the table lists without a positive label are negatives"
    else:
        text = UNLABELLED.get(facts.labels.unlabelled, "")
    return {"unlabelled records": text} if text else {}


def split_words(facts: Facts) -> str:
    """Return how records were split, in words."""
    own, transfer = _split(facts), facts.transfer
    if transfer is None:
        return own
    only = "" if transfer.known or transfer.test_fold is not None else "all of "
    trained = f"train and val ({own}) of {transfer.trained_on}"
    return "; ".join([f"{trained}; test is {only}{transfer.tested_on}", *_not_tested(transfer)])


def _split(facts: Facts) -> str:
    split, labels, together = facts.split, facts.labels, _together(facts)
    match split.kind:
        case "published tables":
            return f"published tables {split.tables}"
        case "benchmark folds":
            return f"the table's own folds: the last tests, the one before validates{together}"
        case "table column":
            return f"column {split.column} of {labels.table}"
        case "folds":
            folds = ", ".join(f"{part} folds {_numbers(split.folds[part])}" for part in PARTS if part in split.folds)
            if labels.table:
                return f"{folds}, by " + (f"column {split.fold_column}" if split.fold_column else "the store's folds")
            return f"{folds}{together}"
    return "not stated"


def _together(facts: Facts) -> str:
    """Say whether the records of a patient are in one part, as far as it is known."""
    if facts.overlap is not None and facts.overlap.patients:
        return f"; {facts.overlap.patients} test patients are in other parts too"
    if facts.interval is not None and facts.interval.unit == "recording":
        return "; no patient is known, so one patient may be in several parts"
    if facts.without_patient:
        return "; folds go by patient where the patient is known"
    return "; folds go by patient"


def _not_tested(transfer: TransferFacts) -> list[str]:
    found = []
    if transfer.known:
        found.append(
            f"{transfer.known} records of {transfer.tested_on} left out: they or their patients are in the training or "
            f"validation part of {transfer.trained_on}"
        )
    if transfer.test_fold is not None:
        found.append(
            f"only fold {transfer.test_fold} of {transfer.tested_on} is tested, for pretraining saw some of its records"
        )
    return found


def _draw(draw: DrawFacts) -> str:
    return f"{RULES.get(draw.rule, draw.rule)}; random state {draw.random_state}"


def _scoring(row: ResultRow) -> dict[str, str]:
    if row.targets:
        metric = (
            "mean absolute error, root mean squared error, R2 and Pearson's r, in the target's own unit; beside them a "
            "predictor that says the training mean of every record"
        )
    else:
        metric = (
            "AUROC of each class, macro mean over the classes with positives and negatives in test; F1 at thresholds "
            "chosen on val"
        )
    found = {"test": "predicted once, after every choice was made on val", "metric": metric}
    if (interval := row.facts.interval) is not None:
        found["interval"] = _interval(interval)
    return found


def _interval(interval: IntervalFacts) -> str:
    drawn = f"{interval.method} over {interval.unit}s, {interval.draws} draws"
    methods = f"AUROC: {interval.auroc_method}; others: {drawn}" if interval.auroc_method else drawn
    few = (
        f". None where fewer {interval.unit}s are positive or negative than {interval.fewest} (AUROC), "
        f"{interval.fewest_other} (other metrics) or {interval.fewest_mean} in every class (means of other metrics), "
        "for it would be too narrow"
        if interval.fewest
        else ""
    )
    return (
        f"{100 * interval.level:g} %, {methods}, over test records only: it does not hold the variation between "
        f"seeds{few}"
    )


def checkpoint_words(facts: Facts) -> str:
    """Return which weights of the encoder were evaluated, in words."""
    found = facts.checkpoint
    value = "" if found.value is None else f" ({found.value:z.4f})"
    match found.selected_by:
        case "random":
            return f"none: random weights, seed {found.random_seed}"
        case "highest validation AUROC":
            return f"epoch {found.epoch} " + (f"by macro AUROC on val{value}" if value else "(val scores no class)")
        case "lowest validation loss" | "last epoch":
            why = "lowest validation loss" if found.selected_by == "lowest validation loss" else "the last"
            return f"epoch {found.epoch} of {found.epochs}, {why}{value} in pretraining"
        case "best monitored metric":
            metric = found.metric.replace("_", " ")
            return f"epoch {found.epoch} of {found.epochs}, best {metric}{value} in pretraining"
    return "weights brought from elsewhere; how they were chosen is not recorded"


def _leads(facts: Facts) -> dict[str, str]:
    if facts.leads is None:
        return {}
    fill = facts.leads.fill
    rest = f"the model puts {fill} in place of the others" if fill else "the model saw nothing else"
    return {"leads": f"{', '.join(facts.leads.given)} in all parts; scaled over these alone; {rest}"}


def _leak_guard(facts: Facts) -> dict[str, str]:
    found = facts.leak_guard
    if found is None or not found.checked:
        return {}
    outcome = (
        "overlap allowed by --allow-overlap"
        if found.found
        else "no test record has the very samples of a pretraining record, and no test patient the id of a pretraining "
        "patient"
    )
    parents = f", and with the runs that it was built on: {', '.join(found.built_on)}" if found.built_on else ""
    return {"leak guard": f"{outcome}; compared with its train and val{parents}. {_compared(found)}"}


def _compared(found: LeakFacts) -> str:
    """Say how far copies were looked for."""
    if found.same_store:
        return "Both are of one store, whose folds keep patients apart; a copy in it is found by its samples alone"
    if not found.compared:
        return "A copy at another rate, length or scale is not found: the run holds no waveform signatures"
    silent = found.tested - found.compared
    limits = [
        *([f"{silent} test records have no signature"] if silent else []),
        *([f"{found.unsigned} pretraining records have no signature"] if found.unsigned else []),
    ]
    words = (
        f"{found.compared} of {found.tested} test records were also compared by waveform signature, which finds copies "
        "at another rate, scale or length or with fewer leads"
    )
    return "; ".join([words, *limits])


def transfer_words(transfer: TransferFacts) -> dict[str, str]:
    """Return the stores of training and testing, and the classes, by heading."""
    same = transfer.from_system == transfer.to_system
    via = "the same codes" if same else f"the label map, from {transfer.from_system} to {transfer.to_system}"
    classes = "; ".join(f"{name} = {' or '.join(codes)}" for name, codes in transfer.shared.items())
    return {
        "trained on": f"{transfer.trained_on} ({transfer.trained_dataset}), its train and val parts",
        "tested on": f"{transfer.tested_on} ({transfer.tested_dataset}), {transfer.tested_records} records",
        "shared classes": f"{len(transfer.shared)}, by {via}: {classes}",
        "classes left out": "; ".join(f"{name}: {why}" for name, why in transfer.left_out.items()) or "none",
    }


def _seen_means(classes: Sequence[ClassScore]) -> dict[str, str]:
    """Return a sentence with the mean over classes seen in training and the mean over unseen classes."""
    told = {}
    for title, met in (("seen classes", True), ("unseen classes", False)):
        members = [c for c in classes if c.seen is not None and bool(c.seen) == met]
        if members:
            scored = [c.auroc for c in members if c.auroc is not None]
            mean = f"{sum(scored) / len(scored):z.4f}" if scored else "-"
            names = ", ".join(f"{c.label} as {c.seen!r}" if c.seen else c.label for c in members)
            told[title] = f"macro AUROC {mean} over {len(members)}: {names}"
    return told


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {v:z.4f}" if isinstance(v, float) else f"{key}: {v}" for key, v in value.items())
    return str(value)


def _numbers(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
