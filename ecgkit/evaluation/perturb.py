"""Perturbations: how much a frozen encoder's probe, and what it learnt to rebuild, suffer from disturbed signals.

A perturbation changes a record's window as it came from the electrodes: in mV (or what the store holds), at the
contract's rate, before crop, filter and scaling: that is where a disturbance happens, and the contract's own filter
has its chance against it. Only the test part is disturbed: the head is fitted and chosen on clean records. Beats stay
where they were found in the clean record.

Another perturbation is a function of a window and an entry in `PERTURBATIONS`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pandas as pd
import scipy.ndimage
import torch
from numpy.typing import NDArray

from ecgkit.entries import HeadEntry
from ecgkit.errors import ConfigError, RunError, StoreError
from ecgkit.evaluation.features import extract
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.settings import build_head, check_head
from ecgkit.evaluation.metrics import macro_auroc
from ecgkit.evaluation.subject import Subject
from ecgkit.methods import Method
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.task import TaskData
from ecgkit.training.data import Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.run import open_run, pick_device
from ecgkit.training.supply import Supply, open_supplies

Window = NDArray[np.float32]


@dataclass(frozen=True)
class Perturbation:
    """A way to disturb a record.

    Args:
        name: What the user types.
        unit: Of its level, such as ``ms``.
        summary: One line.
        apply: ``f(window [L, T], fs in Hz, level, generator) -> [L, T]``; level 0 must change nothing.
    """

    name: str
    unit: str
    summary: str
    apply: Callable[[Window, float, float, np.random.Generator], Window]


def shift_leads(window: Window, fs: float, level: float, rng: np.random.Generator) -> Window:
    """Shift every lead by a time of its own, drawn from +- level / 2 ms, so that no two are more than `level` apart.

    Between samples it interpolates by cubic splines; at the ends the last sample is held.
    """
    if level == 0:
        return window
    shifts = rng.uniform(-level / 2, level / 2, len(window)) * fs / 1000
    moved = [scipy.ndimage.shift(row, by, order=3, mode="nearest") for row, by in zip(window, shifts, strict=True)]
    return np.stack(moved).astype(np.float32)


PERTURBATIONS: dict[str, Perturbation] = {
    "lead-shift": Perturbation("lead-shift", "ms", "leads shifted against each other", shift_leads),
}


def parse_perturbation(text: str) -> tuple[Perturbation, tuple[float, ...]]:
    """Read ``NAME=LEVEL,LEVEL,...UNIT``, such as ``lead-shift=0,10,20,50ms``.

    Raises:
        ConfigError: The name is unknown, or a level is no number of 0 or more in the perturbation's unit.
    """
    name, _, levels = text.partition("=")
    if name not in PERTURBATIONS:
        raise ConfigError(f"perturbation {name!r}", f"one of {', '.join(PERTURBATIONS)}")
    chosen = PERTURBATIONS[name]
    found = [re.fullmatch(rf"(\d+(?:\.\d+)?)(?:{re.escape(chosen.unit)})?", part.strip()) for part in levels.split(",")]
    if not all(found):
        raise ConfigError(f"--perturb {text!r}", f"levels in {chosen.unit}, such as {name}=0,10,50{chosen.unit}")
    return chosen, tuple(float(match[1]) for match in found if match)


class PerturbedSignal:
    """The signals of a view, each window disturbed as it is read; a record is disturbed alike each time.

    Args:
        view: The view.
        perturbation: What is done.
        level: How much of it.
        seed: With the record's row, of what is random.
    """

    def __init__(self, view: View, perturbation: Perturbation, level: float, seed: int) -> None:
        self.view, self.perturbation, self.level, self.seed = view, perturbation, level, seed
        self.shape = view.signal.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Window:
        """Return ``[L, W]`` of a row, or ``[n, L, W]`` of rows."""
        if np.ndim(rows):
            return np.stack([self[int(row)] for row in rows])
        window = np.array(self.view.signal[rows])
        leads, T = np.flatnonzero(self.view.present[rows]), int(self.view.lengths[rows])
        rng = np.random.default_rng([self.seed, int(rows)])
        window[leads, :T] = self.perturbation.apply(window[leads, :T], self.view.spec.fs, self.level, rng)
        return window


def perturbed_view(view: View, perturbation: Perturbation, level: float, seed: int = 0) -> View:
    """Return a view whose records are disturbed."""
    return replace(view, signal=cast(NDArray[np.float32], PerturbedSignal(view, perturbation, level, seed)))


def study_perturbation(
    subject: Subject,
    store: Store,
    data: TaskData,
    head_entry: HeadEntry,
    perturbation: Perturbation,
    levels: tuple[float, ...],
    *,
    run: Path | None = None,
    head_config: Any = None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Probe an encoder on disturbed test records.

    Args:
        subject: The encoder.
        store: The data.
        data: The task on the store.
        head_entry: The head, fitted on clean records.
        perturbation: What is done to the test records.
        levels: How much of it.
        run: The run folder, for its pretraining loss; None leaves that column empty.
        head_config: Settings of the head.
        seed: Of head, masks and perturbation.
        device: What to compute on.
        progress: Called with the stage, units done and in all.

    Returns:
        A row a level: ``level``, ``auroc`` (macro, test), ``auroc_change`` against clean records, ``loss`` (the
        pretraining loss on the test records, with the same masks at each level) and ``loss_change``; NaN without one.
    """
    watch = progress or (lambda stage, done, total: None)
    check_head(head_entry, subject.entry)
    view = open_view(store, subject.spec, lambda done, total: watch("view", done, total))
    where = pick_device(device)
    encoder = subject.encoder.to(where)
    supplies = open_supplies(encoder.needs, store, view, owner=subject.entry.name)
    clean = extract(
        encoder, view, data.rows, head_entry.needs, supplies=supplies,
        progress=lambda done, total: watch("features", done, total),
    )  # fmt: skip
    head = build_head(head_entry, seed, head_config)
    head.progress(lambda done, total: watch("head", done, total))
    train, val = (Part(clean.take(data.parts[p]), data.targets[data.parts[p]]) for p in ("train", "val"))
    head.fit(train, val)
    test = data.parts["test"]
    rows, targets = data.rows[test], data.targets[test]
    method, needed = _method(run, store, view, where)
    base = macro_auroc(targets, head.predict(clean.take(test)))
    base_loss = pretraining_loss(method, view, needed, rows, seed)
    table = []
    for done, level in enumerate(levels, 1):
        other = perturbed_view(view, perturbation, level, seed)
        score = macro_auroc(targets, head.predict(extract(encoder, other, rows, head_entry.needs, supplies=supplies)))
        loss = pretraining_loss(method, other, needed, rows, seed)
        table.append(
            {
                "level": level,
                "auroc": score,
                "auroc_change": score - base,
                "loss": loss,
                "loss_change": loss - base_loss,
            }
        )
        watch("levels", done, len(levels))
    return pd.DataFrame(table)


def _method(
    run: Path | None, store: Store, view: View, device: torch.device
) -> tuple[Method | None, Mapping[str, Supply]]:
    """Return the whole method of a run with what its training needs, or None where that is not to be had."""
    if run is None:
        return None, {}
    opened = open_run(run)
    try:
        return opened.method().to(device), open_supplies(opened.entry.needs, store, view, owner=opened.entry.name)
    except (RunError, StoreError):  # imported encoders have no decoder; a probe's store may lack reports or labels
        return None, {}


@torch.no_grad()
def pretraining_loss(
    method: Method | None,
    view: View,
    supplies: Mapping[str, Supply] = MappingProxyType({}),
    rows: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> float:
    """Return a method's mean loss over records, with masks that depend on the seed alone; NaN without a method."""
    if method is None or rows is None or not len(rows):
        return float("nan")
    method.eval()
    device = next(method.parameters()).device
    windows = Windows(view, evaluation_starts(view, view.spec.eval_offsets[0]), supplies)
    total = 0.0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for batch in load_batches(windows, plan_batches(view, rows, 32)):
            total += float(method.training_step(batch.to(device)).loss) * len(batch.rows)
    return total / len(rows)
