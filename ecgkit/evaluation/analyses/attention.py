"""Shows where a model attends over time and leads, and measures the worth of each lead by leaving it out.

Attention and gate are what the model computes. They do not measure importance, especially not that of a lead after
leads have been mixed. The worth of a lead is measured by giving the record without it, like a record that lacks it.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ecgkit.errors import RunError, StoreError
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.heads.own import check_classes
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.scores.metrics import auroc
from ecgkit.methods import Batch, Encoder
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.store.reader import Store
from ecgkit.store.views import open_view
from ecgkit.training.data import Windows, evaluation_starts
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class RecordAttention:
    """A record as the model's input, with the model's attention.

    Args:
        record: Id of the record.
        fs: Sampling rate of the model's input in Hz.
        leads: The L leads of the record.
        signal: ``[L, T]``, the model's input.
        over_time: ``[T]``, mean attention weight of the patches that contain each sample.
        label: The class with the highest probability; empty for a model without classes.
        probability: Probability of that class.
        gate: ``[L]``, weight of the gate on the channels of each lead for that class; None without a gate.
        without: ``[L]``, drop of that class's logit when each lead is left out; None without classes.
    """

    record: str
    fs: float
    leads: tuple[str, ...]
    signal: NDArray[np.float32]
    over_time: NDArray[np.float64]
    label: str
    probability: float | None
    gate: NDArray[np.float64] | None
    without: NDArray[np.float64] | None


@dataclass(frozen=True)
class LeadWorth:
    """The worth of each lead for each class, over a set of records.

    Args:
        classes: Short labels of the C classes.
        leads: The L leads.
        auroc: AUROC with all leads, ``[C]``.
        drop: Drop of the AUROC without each lead, ``[C, L]``; NaN for a class that cannot be scored.
        records: Number of records.
    """

    classes: tuple[str, ...]
    leads: tuple[str, ...]
    auroc: NDArray[np.float64]
    drop: NDArray[np.float64]
    records: int


@torch.no_grad()
def record_attention(probed: ProbedEncoder, store: Store, record: str, progress: Progress = silent) -> RecordAttention:
    """Return the attention of a model on one record, in its first evaluation crop.

    Raises:
        StoreError: The store has no such record, or the model cannot read it.
        RunError: The model does not give its attention.
    """
    row = store.row(record)
    view = open_view(store, probed.spec, of_stage(progress, "view"))
    if not view.usable[row]:
        raise StoreError(f"record {record} has none of the model's leads, or hardly any signal", "one that it can read")
    encoder = probed.loaded().eval()
    supplies = open_supplies(encoder.needs, store, view, owner=probed.entry.name)
    batch = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), supplies)[np.array([row])]
    found = encoder.attention_map(batch)
    leads = tuple(view.spec.leads[i] for i in np.flatnonzero(view.present[row]))
    logits = encoder.encode(batch).logits
    label, probability, gate, without = "", None, None, None
    if logits is not None:
        top = int(logits[0].argmax())
        label, probability = encoder.classes[top], float(logits[0, top].sigmoid())
        if found.gate is not None:
            gate = found.gate[0, top, batch.lead_ids].double().numpy()
        if len(leads) > 1:
            without = np.array(
                [float(logits[0, top] - _logit_without(encoder, batch, i, top)) for i in range(len(leads))]
            )
    T = batch.signal.shape[-1]
    over_time = _by_sample(found.over_time[0].double().numpy(), found.spans.numpy(), T)
    return RecordAttention(
        record, view.spec.fs, leads, batch.signal[0].numpy(), over_time, label, probability, gate, without
    )


def _logit_without(encoder: Encoder, batch: Batch, lead: int, label: int) -> float:
    keep = [i for i in range(batch.signal.shape[1]) if i != lead]
    logits = encoder.encode(replace(batch, signal=batch.signal[:, keep], lead_ids=batch.lead_ids[keep])).logits
    assert logits is not None
    return float(logits[0, label])


def _by_sample(weights: NDArray[np.float64], spans: NDArray[np.integer], samples: int) -> NDArray[np.float64]:
    """Average over the patches that contain each sample, ``[T]``; 0 where none does."""
    edges = np.zeros((2, samples + 1))
    for change, kind in ((weights, 0), (np.ones_like(weights), 1)):
        np.add.at(edges[kind], spans[:, 0], change)
        np.add.at(edges[kind], spans[:, 1], -change)
    total, count = edges.cumsum(axis=1)[:, :samples]
    return np.divide(total, count, out=np.zeros(samples), where=count > 0.5)


def lead_worth(probe: Probe) -> LeadWorth:
    """Measure the worth of each lead: the AUROC of the encoder's own classes with all leads, and without each lead.

    Args:
        probe: A probe with the head ``own``. The test records with at least two leads are scored.

    Raises:
        RunError: The head is another one, the encoder's classes are not those of the task, or no record has two leads.
    """
    if probe.head.needs != ("logits",):
        raise RunError(f"head {probe.head.name}", "head own: a lead's worth is that to the encoder's own classes")
    check_classes(probe.reader.classes, probe.data.labels, "Name the task that the run was trained on with --task.")
    data, view = probe.data, probe.opened.view
    present = np.array(view.present)
    own = data.parts["test"]
    own = own[present[data.rows[own]].sum(axis=1) > 1]
    if not len(own):
        raise RunError("no test record has two leads", "records of which a lead can be left out")
    rows, targets = data.rows[own], data.targets[own]
    there = np.flatnonzero(present[rows].any(axis=0))
    supplies = probe.supplies(probe.opened.store, view)
    whole = auroc(targets, extract(probe.reader, view, rows, ("logits",), supplies=supplies)["logits"])
    drop = np.empty((len(data.labels), len(there)))
    for i, lead in enumerate(there):
        fewer = present.copy()
        fewer[:, lead] = False
        logits = extract(probe.reader, replace(view, present=fewer), rows, ("logits",), supplies=supplies)["logits"]
        drop[:, i] = whole - auroc(targets, logits)
    return LeadWorth(data.labels, tuple(view.spec.leads[i] for i in there), whole, drop, len(rows))
