"""Perturbations: how much a frozen encoder's probe, and what it learnt to rebuild, suffer from disturbed signals.

Only the test part is disturbed: the head is fitted and chosen on clean records. Beats stay where they were found in the
clean record. What may be done is in `ecgkit.evaluation.studies.perturbations`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.errors import RunError, StoreError
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.evaluation.features.extract import RecordFeatures, extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.probe.options import ProbeOptions
from ecgkit.evaluation.probe.prepare import prepare_probe
from ecgkit.evaluation.probe.run import PreparedProbe
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.evaluation.studies.noise import Window
from ecgkit.evaluation.studies.perturbations import Disturbances, Perturbation
from ecgkit.methods import Clock, Method
from ecgkit.store.reader import Store
from ecgkit.store.views import View, before_filter
from ecgkit.training.data import Supplies, Windows, evaluation_starts, load_batches, plan_batches
from ecgkit.training.run import open_run
from ecgkit.training.supply import Supply, open_supplies
from ecgkit.training.views import views_of

CLEAN = "clean"


class PerturbedSignal:
    """The signals of a view, each window disturbed as it is read; a record is disturbed alike each time.

    Args:
        view: The view.
        recorded: The view before the contract's filter; see `ecgkit.store.views.before_filter`.
        perturbation: What is done.
        level: How much of it.
        seed: With the record's row, of what is random.
    """

    def __init__(self, view: View, recorded: View, perturbation: Perturbation, level: float, seed: int) -> None:
        self.view, self.recorded, self.perturbation, self.level, self.seed = view, recorded, perturbation, level, seed
        self.shape = view.signal.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Window:
        """Return ``[L, W]`` of a row, or ``[n, L, W]`` of rows."""
        if np.ndim(rows):
            return np.stack([self[int(row)] for row in rows])
        spec, window = self.view.spec, np.array(self.recorded.signal[rows])
        leads, T = np.flatnonzero(self.view.present[rows]), int(self.view.lengths[rows])
        rng = np.random.default_rng([self.seed, int(rows)])
        disturbed = self.perturbation.apply(window[leads, :T], spec.fs, self.level, rng)
        if spec.window_filter:
            disturbed = spec.window_filter(disturbed.astype(np.float64), spec.fs).astype(np.float32)
        window[leads, :T] = disturbed
        return window


def perturbed_view(view: View, recorded: View, perturbation: Perturbation, level: float, seed: int = 0) -> View:
    """Return a view whose records are disturbed; see `PerturbedSignal`."""
    return replace(view, signal=cast(NDArray[np.float32], PerturbedSignal(view, recorded, perturbation, level, seed)))


def study_perturbation(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    disturbances: Disturbances,
    *,
    options: ProbeOptions,
    run: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Probe an encoder, or a whole method, on disturbed test records.

    Args:
        subject: The encoder.
        store: The data.
        task_entry: The task.
        head_entry: The head, fitted on clean records.
        disturbances: What the test records go through.
        options: As for a probe; the seed is also that of the masks and of what is random in a perturbation.
        run: The run folder, for its pretraining loss; None leaves that column empty.
        progress: Called with the stage, units done and in all.

    Returns:
        First the clean records, then a row a perturbation and level: ``perturbation``, ``level``, ``auroc`` (macro,
        test), ``auroc_change`` against clean records, ``loss`` (the pretraining loss on the test records, with the
        same masks each time) and ``loss_change``; NaN without one.
    """
    watch = progress or (lambda stage, done, total: None)
    judge = _judge(prepare_probe(subject, store, task_entry, head_entry, options, watch), run)
    cases = [(p, level) for p in disturbances.perturbations for level in disturbances.levels if level != p.undisturbed]
    clean = judge.clean()
    rows = [_row(CLEAN, disturbances.kind.undisturbed, clean, clean)]
    for done, (perturbation, level) in enumerate(cases, 1):
        rows.append(_row(perturbation.name, level, judge.disturbed(perturbation, level), clean))
        watch("levels", done, len(cases))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Scores:
    auroc: float
    loss: float


def _row(name: str, level: float, found: _Scores, clean: _Scores) -> dict[str, Any]:
    return {
        "perturbation": name, "level": level, "auroc": found.auroc, "auroc_change": found.auroc - clean.auroc,
        "loss": found.loss, "loss_change": found.loss - clean.loss,
    }  # fmt: skip


@dataclass(frozen=True)
class _Judge:
    """What scores the test part, as often as it is asked.

    Args:
        prepared: The probe.
        recorded: Its view before the contract's filter.
        features: Of all the task's records, undisturbed.
        head: Fitted on clean records.
        supplies: What the encoder needs besides the signal.
        method: With its decoder, for the loss; None where there is none.
        needed: What its training needs besides the signal.
    """

    prepared: PreparedProbe
    recorded: View
    features: RecordFeatures
    head: Head
    supplies: Mapping[str, Supply]
    method: Method | None
    needed: Supplies

    def clean(self) -> _Scores:
        """Score the records as they are."""
        setting = self.prepared.setting
        return self._scores(setting.view, self.features.take(setting.data.parts["test"]))

    def disturbed(self, perturbation: Perturbation, level: float) -> _Scores:
        """Score disturbed records."""
        prepared, setting = self.prepared, self.prepared.setting
        view = perturbed_view(setting.view, self.recorded, perturbation, level, setting.seed)
        return self._scores(view, extract(prepared.encoder, view, self._rows, prepared.needs, supplies=self.supplies))

    def _scores(self, view: View, features: RecordFeatures) -> _Scores:
        data = self.prepared.setting.data
        auroc = macro_auroc(data.targets[data.parts["test"]], self.head.predict(features))
        return _Scores(auroc, pretraining_loss(self.method, view, self.needed, self._rows, self.prepared.setting.seed))

    @property
    def _rows(self) -> NDArray[np.int64]:
        data = self.prepared.setting.data
        return data.rows[data.parts["test"]]


def _judge(prepared: PreparedProbe, run: Path | None) -> _Judge:
    setting, features = prepared.setting, prepared.features
    if features is None:
        raise RunError("an encoder that is trained from scratch", "a run, or --random-init, for a perturbation")
    head, parts = prepared.build(setting.seed), setting.data.parts
    head.progress(lambda done, total: prepared.watch("head", done, total))
    head.fit(*(Part(features.take(parts[p]), setting.data.targets[parts[p]]) for p in ("train", "val")))
    supplies = open_supplies(prepared.encoder.needs, setting.store, setting.view, owner=prepared.subject.entry.name)
    rows = setting.data.rows[parts["test"]]
    method, needed = _method(run, setting.store, setting.view, rows[:1], setting.device)
    return _Judge(prepared, before_filter(setting.store, setting.view), features, head, supplies, method, needed)


def _method(
    run: Path | None, store: Store, view: View, trial: NDArray[np.int64], device: torch.device
) -> tuple[Method | None, Supplies]:
    """Return the whole method of a run with what its training needs, or None where that is not to be had.

    Imported encoders have no decoder, a probe's store may lack reports or labels, and a run holds no texts: all of it
    shows on the records of a trial.
    """
    if run is None:
        return None, {}
    opened = open_run(run)
    try:
        method = opened.method().to(device)
        needed: Supplies = {
            **open_supplies(opened.entry.needs, store, view, owner=opened.entry.name),
            **views_of(opened.config),
        }
        pretraining_loss(method, view, needed, trial)
    except (RunError, StoreError):
        return None, {}
    return method, needed


@torch.no_grad()
def pretraining_loss(
    method: Method | None,
    view: View,
    supplies: Supplies = MappingProxyType({}),
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
            total += float(method.training_step(batch.to(device), Clock.end()).loss) * len(batch.rows)
    return total / len(rows)
