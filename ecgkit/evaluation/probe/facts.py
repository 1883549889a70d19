"""Collects the facts that a result row or an analysis stores."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ecgkit.config import fingerprint
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.protocols.protocol import Protocol
from ecgkit.evaluation.results.facts import (
    CheckpointFacts,
    Departure,
    DrawFacts,
    Facts,
    IntervalFacts,
    LabelFacts,
    LeadFacts,
    ProtocolFacts,
    Selection,
    TargetFacts,
)
from ecgkit.evaluation.scores.areas import FEWEST_UNITS
from ecgkit.evaluation.scores.bootstrap import DRAWS
from ecgkit.evaluation.scores.classification import BOOTSTRAP_MEAN_UNITS, BOOTSTRAP_UNITS
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.task import Task
from ecgkit.training.selection import kept_epoch

if TYPE_CHECKING:
    from ecgkit.evaluation.features.encoder import ProbedEncoder
    from ecgkit.evaluation.probe.probe import Probe


def facts_of(
    probe: "Probe",
    data: TaskData,
    *,
    amount: Amount,
    seed: int,
    seeds: int = 1,
    choices: Mapping[str, Any] = MappingProxyType({}),
    training: Sequence[Mapping[str, Any]] = (),
) -> Facts:
    """Return everything that the numbers of a probe or an analysis depend on.

    Args:
        probe: The probe.
        data: The task's records, with the training records that were drawn.
        amount: Requested amount of training records.
        seed: Seed of the draw and of the head.
        seeds: Number of results with different seeds that are made together.
        choices: Settings that the head tried and chose, by heading.
        training: Metrics of a training from scratch, by epoch.
    """
    opened, request, task = probe.opened, probe.request, data.task
    test = opened.store.table["record_id"].iloc[data.rows[data.parts["test"]]].tolist()
    return Facts(
        protocol=protocol_facts(
            request.protocol,
            probe.protocol,
            head="end-to-end" if probe.encoder.from_scratch else request.head,
            seed=seed,
            amount=amount,
            splits=bool(request.splits),
            further=opened.departures,
        ),
        labels=_labels(task, opened.name.split("@")[0], data, opened.store, opened.label_set),
        split=replace(opened.split, test_sha256=fingerprint(test)),
        draw=None if amount.all else DrawFacts(rule=probe.protocol.draw, random_state=probe.protocol.draw_seed(seed)),
        head=_plain(dict(choices)),
        checkpoint=_checkpoint(probe.encoder, training),
        leads=LeadFacts(given=opened.leads, fill=probe.reader.fill) if request.leads else None,
        leak_guard=probe.leak,
        transfer=opened.transfer,
        overlap=opened.overlap,
        interval=_interval(opened.store, data),
        thresholds_from="" if task.regression is not None else "validation",
        seeds=seeds,
        unusable=data.unusable,
        without_patient=int(opened.store.table["patient_id"].iloc[data.rows].isna().sum()),
    )


def protocol_facts(
    name: str,
    protocol: Protocol,
    *,
    head: str,
    seed: int,
    amount: Amount,
    splits: bool,
    further: Sequence[Departure] = (),
) -> ProtocolFacts:
    """Return the facts of a protocol, with every choice in which the probe departs from it.

    Args:
        name: Name of the protocol.
        protocol: The protocol.
        head: Head of the probe.
        seed: Seed of the draw.
        amount: Amount of training records to use.
        splits: Whether published split tables are used.
        further: Departures that were found earlier.
    """
    found = list(further)
    if protocol.heads and head not in protocol.heads:
        found.append(Departure(choice="head", used=head, protocol=" or ".join(protocol.heads)))
    if protocol.state is not None and seed and not amount.all:
        found.append(Departure(choice="draw", used=f"{protocol.draw_seed(seed)}", protocol=f"{protocol.state}"))
    if protocol.tables and not splits:
        found.append(Departure(choice="split", used="own", protocol="published tables"))
    own = [Departure(choice=choice, note=note) for choice, note in protocol.departures.items()]
    by_choice = {departure.choice: departure for departure in (*own, *found)}
    return ProtocolFacts(name=name, title=protocol.title, departures=tuple(by_choice.values()))


def _labels(task: Task, name: str, data: TaskData, store: Store, label_set: Any) -> LabelFacts:
    if task.regression is not None:
        return LabelFacts(source=task.source, targets=_targets(task, name, store))
    if task.icd10 is not None:
        return LabelFacts(
            source=task.source,
            unlabelled="drop without diagnosis",
            scenario=task.icd10.scenario,
            counted_in=task.icd10.count_on,
        )
    if data.table is not None:
        return LabelFacts(
            source=task.source,
            unlabelled="keep",
            table=data.table.file,
            table_sha256=data.table.sha256,
            columns=data.table.columns,
        )
    if data.extraction is not None and task.entities is not None:
        return LabelFacts(
            source=task.source,
            unlabelled=task.unlabelled,
            extraction=data.extraction,
            uncertain=task.entities.uncertain,
            min_count=task.entities.min_count,
        )
    return LabelFacts(source=task.source, label_set=label_set, unlabelled=task.unlabelled)


def _targets(task: Task, name: str, store: Store) -> dict[str, TargetFacts]:
    assert task.regression is not None
    found = {}
    for short, target in task.regression.targets.items():
        source = task.regression.source_of(target, store, name)
        low, high = source.range or target.range
        found[short] = TargetFacts(formula=source.formula, low=low, high=high, unit=target.unit, rule=source.rule)
    return found


def _checkpoint(encoder: "ProbedEncoder", training: Sequence[Mapping[str, Any]]) -> CheckpointFacts:
    """Return which weights were evaluated, and how they were chosen."""
    if encoder.from_scratch and training:
        scores = [np.nan_to_num(line["val_macro_auroc"] or 0.0) for line in training]
        best = int(np.argmax(scores))
        return CheckpointFacts(
            selected_by="highest validation AUROC",
            epoch=best + 1,
            epochs=len(scores),
            random_seed=encoder.seed,
            value=float(scores[best]) if scores[best] > 0 else None,
        )
    if encoder.seed is not None:
        return CheckpointFacts(selected_by="random", random_seed=encoder.seed)
    run: dict[str, Any] = {"training": encoder.settings, "training_seed": encoder.training_seed}
    if not encoder.training or any("val_loss" not in line for line in encoder.training):
        return CheckpointFacts(**run)
    recipe = encoder.config.recipe
    kept = kept_epoch(encoder.training, recipe)
    criterion: Selection = "lowest validation loss" if recipe.monitor == "val_loss" else "best monitored metric"
    metric = recipe.monitor if recipe.checkpoint == "best" else "val_loss"
    return CheckpointFacts(
        selected_by=criterion if recipe.checkpoint == "best" else "last epoch",
        epoch=kept["epoch"],
        epochs=recipe.epochs,
        value=kept.get(metric),
        metric="" if metric == "val_loss" else metric,
        origins=encoder.origins,
        **run,
    )


def _interval(store: Store, data: TaskData) -> IntervalFacts:
    known = store.table["patient_id"].iloc[data.rows[data.parts["test"]]].notna()
    unit = "patient" if known.all() else "patient or recording" if known.any() else "recording"
    if data.task.regression is not None:
        return IntervalFacts(draws=DRAWS, unit=unit)
    return IntervalFacts(
        draws=DRAWS,
        unit=unit,
        auroc_method="clustered DeLong variance with Newcombe's limits",
        fewest=FEWEST_UNITS,
        fewest_other=BOOTSTRAP_UNITS,
        fewest_mean=BOOTSTRAP_MEAN_UNITS,
    )


def _plain(value: Any) -> Any:
    """Return a value in a form that JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
