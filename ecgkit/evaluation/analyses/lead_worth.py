"""Measures the worth of each lead to an encoder's own classes, by leaving it out of every test record."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.heads.own import check_classes
from ecgkit.evaluation.probe.probe import Probe
from ecgkit.evaluation.scores.metrics import auroc


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
