"""Label efficiency: how a probe's scores grow with the number of labelled training records.

For every seed, patients are put into one order whose every beginning has the labels of the whole, as far as it can; a
count takes the patients at the beginning. So subsets are nested, whole patients only, and stratified by each patient's
rarest label. Validation and test stay whole.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.errors import TaskError
from ecgkit.evaluation.probe import ProbeOptions, prepare_probe
from ecgkit.evaluation.results import ResultRow
from ecgkit.evaluation.scoring import patients_of
from ecgkit.evaluation.subject import Subject
from ecgkit.store.reader import Store

DEFAULTS = ProbeOptions()


@dataclass(frozen=True)
class CurvePoint:
    """What the seeds of one count give.

    Args:
        count: Training records that were asked for.
        records: Training records that whole patients made of it, of each seed.
        aurocs: Macro AUROC of each seed; None where no class could be scored.
    """

    count: int
    records: tuple[int, ...]
    aurocs: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """Mean over the seeds that have a score."""
        known = [value for value in self.aurocs if value is not None]
        return float(np.mean(known)) if known else None


def nested_subsets(
    targets: NDArray[np.integer], patients: Sequence[str], counts: Sequence[int], seed: int
) -> dict[int, NDArray[np.int64]]:
    """Choose training records for several counts, each subset inside the next.

    Args:
        targets: ``[R, C]`` of 0 and 1.
        patients: R ids; all records of a patient are taken, or none.
        counts: How many records; each gets the most whole patients that do not exceed it, and one at least.
        seed: Of the order.

    Returns:
        Ascending indices into the R records, by count.
    """
    names, patient_of = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    order = _patient_order(targets, patient_of, len(names), np.random.default_rng(seed))
    sizes = np.bincount(patient_of)[order].cumsum()
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    taken = {count: max(1, int(np.searchsorted(sizes, count, side="right"))) for count in counts}
    return {count: np.flatnonzero(place[patient_of] < n) for count, n in taken.items()}


def _patient_order(
    targets: NDArray[np.integer], patient_of: NDArray[np.intp], patients: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Spread the patients of every stratum evenly over one order; a stratum shares its rarest label."""
    has = np.zeros((patients, targets.shape[1]), bool)
    np.logical_or.at(has, patient_of, targets == 1)
    rarity = np.argsort(has.sum(axis=0), kind="stable")
    rarest = np.where(has.any(axis=1), has[:, rarity].argmax(axis=1), len(rarity))
    position = np.empty(patients)
    for stratum in np.unique(rarest):
        members = rng.permutation(np.flatnonzero(rarest == stratum))
        position[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.lexsort((rng.random(patients), position))


def label_curve(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    out: Path,
    counts: Sequence[int],
    *,
    seeds: int = 3,
    options: ProbeOptions = DEFAULTS,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[ResultRow]:
    """Probe with several numbers of labelled training records, with several seeds each.

    Features are extracted once. A count that reaches the whole training part is probed with all of it.

    Args:
        subject: The encoder.
        store: The data.
        task_entry: The task.
        head_entry: The head.
        out: Folder of the results, ``labels-COUNT-seed-SEED`` each.
        counts: How many records to label.
        seeds: How many draws of each count, from `ProbeOptions.seed` on; they seed the head too.
        options: See `ProbeOptions`.
        progress: Called with the stage, units done and in all.

    Returns:
        One row a count and seed, by count.

    Raises:
        TaskError: A count is below 1 or asked for twice.
    """
    if not counts or min(counts) < 1 or len(set(counts)) < len(counts) or seeds < 1:
        raise TaskError(f"label counts {', '.join(map(str, counts))} with {seeds} seeds", "different counts from 1 on")
    watch = progress or (lambda stage, done, total: None)
    prepared = prepare_probe(subject, store, task_entry, head_entry, options, progress)
    data = prepared.setting.data
    train, patients = data.parts["train"], patients_of(store, data)
    draws = [
        (count, seed, train[rows])
        for seed in range(options.seed, options.seed + seeds)
        for count, rows in nested_subsets(data.targets[train], patients[train].tolist(), counts, seed).items()
    ]
    rows = []
    for done, (count, seed, chosen) in enumerate(sorted(draws, key=lambda draw: draw[:2])):
        watch("label counts", done, len(draws))
        probe = replace(prepared, setting=replace(prepared.setting, seed=seed))
        folder = out / f"labels-{count}-seed-{seed}"
        rows.append(probe.run(folder, began=time.perf_counter(), train=chosen, label_count=count))
    watch("label counts", len(draws), len(draws))
    return rows


def curve(rows: Sequence[ResultRow]) -> list[CurvePoint]:
    """Gather the rows of a curve by count."""
    counts = sorted({row.label_count for row in rows if row.label_count is not None})
    points = []
    for count in counts:
        own = [row for row in rows if row.label_count == count]
        records = tuple(row.counts["train"]["records"] for row in own)
        points.append(CurvePoint(count, records, tuple(row.macro_auroc for row in own)))
    return points


def spread(values: Sequence[float | None]) -> tuple[float, float] | None:
    """Return the lowest and the highest of the scores; None without any."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    return (min(known), max(known)) if known else None
