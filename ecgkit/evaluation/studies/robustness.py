"""Perturbations: how much a frozen encoder's probe, and what it learnt to rebuild, suffer from disturbed signals.

Only the test part is disturbed: the head is fitted and chosen on clean records. Beats stay where they were found in the
clean record. What may be done is in `ecgkit.evaluation.studies.perturbations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import RunError
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.fitted import FittedProbe
from ecgkit.evaluation.probe.probe import Probe, refuse_regression
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.evaluation.studies.noise import Window
from ecgkit.evaluation.studies.perturbations import Disturbances, Perturbation
from ecgkit.evaluation.studies.pretraining_loss import PretrainingLoss, open_pretraining_loss
from ecgkit.store.views import View, before_filter
from ecgkit.training.supply import Supply

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


def study_perturbation(probe: Probe, disturbances: Disturbances) -> pd.DataFrame:
    """Probe an encoder, or a whole method, on disturbed test records.

    Args:
        probe: Encoder, data, split and head; the head is fitted on clean records. Its seed is also that of the masks
            and of what is random in a perturbation. A run gives its pretraining loss too.
        disturbances: What the test records go through.

    Returns:
        First the clean records, then a row per perturbation and level: ``perturbation``, ``level``, ``auroc`` (macro,
        test), ``auroc_change`` against clean records, ``loss`` (the pretraining loss on the test records, with the
        same masks each time) and ``loss_change``; NaN without one.

    Raises:
        RunError: The encoder itself is trained, or the task is a regression.
    """
    judge = _judge(probe)
    cases = [(p, level) for p in disturbances.perturbations for level in disturbances.levels if level != p.undisturbed]
    clean = judge.clean()
    rows = [_row(CLEAN, disturbances.kind.undisturbed, clean, clean)]
    for done, (perturbation, level) in enumerate(cases, 1):
        rows.append(_row(perturbation.name, level, judge.disturbed(perturbation, level), clean))
        probe.progress("levels", done, len(cases))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Scores:
    auroc: float
    loss: float


def _row(name: str, level: float, found: _Scores, clean: _Scores) -> dict[str, Any]:
    return {
        "perturbation": name,
        "level": level,
        "auroc": found.auroc,
        "auroc_change": found.auroc - clean.auroc,
        "loss": found.loss,
        "loss_change": found.loss - clean.loss,
    }


@dataclass(frozen=True)
class _Judge:
    """Scores the test part, as often as it is asked to.

    Args:
        fitted: The probe, fitted on clean records.
        recorded: Its view before the contract's filter.
        supplies: What the encoder needs besides the signal.
        loss: The pretraining loss; None where there is none.
    """

    fitted: FittedProbe
    recorded: View
    supplies: Mapping[str, Supply]
    loss: PretrainingLoss | None

    def clean(self) -> _Scores:
        """Score the records as they are."""
        probe = self.fitted.probe
        features = probe.features.take(probe.data.parts["test"])
        return self._scores(probe.opened.view, self.fitted.predictor.predict(features))

    def disturbed(self, perturbation: Perturbation, level: float) -> _Scores:
        """Score disturbed records."""
        probe = self.fitted.probe
        view = perturbed_view(probe.opened.view, self.recorded, perturbation, level, self.fitted.seed)
        features = extract(probe.reader, view, probe.opened.test_rows, probe.needs, supplies=self.supplies)
        return self._scores(view, self.fitted.predictor.predict(features))

    def _scores(self, view: View, probabilities: NDArray[np.float64]) -> _Scores:
        opened = self.fitted.probe.opened
        auroc = macro_auroc(opened.data.targets[opened.data.parts["test"]], probabilities)
        loss = self.loss.of(view, self.fitted.seed) if self.loss else float("nan")
        return _Scores(auroc, loss)


def _judge(probe: Probe) -> _Judge:
    if probe.trains_encoder:
        how = "from scratch" if probe.encoder.from_scratch else f"by head {probe.head.name}"
        raise RunError(
            f"an encoder that is trained {how}", "a frozen encoder for a perturbation: a run, or --random-init"
        )
    refuse_regression(probe, "a study of perturbations")
    opened = probe.opened
    loss = open_pretraining_loss(probe.encoder.run, opened, probe.device)
    supplies = probe.supplies(opened.store, opened.view)
    return _Judge(probe.fit(), before_filter(opened.store, opened.view), supplies, loss)
