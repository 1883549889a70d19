"""Measures the robustness of a frozen encoder: probe AUROC and pretraining loss on disturbed signals.

Only the test set is disturbed; the head is fitted and chosen on clean records. Beat positions are those of the clean
record. `ecgkit.evaluation.analyses.perturbations` defines the perturbations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.errors import RunError
from ecgkit.evaluation.analyses.noise import Window
from ecgkit.evaluation.analyses.perturbations import Disturbances, Perturbation
from ecgkit.evaluation.analyses.pretraining_loss import PretrainingLoss, open_pretraining_loss
from ecgkit.evaluation.features.extract import extract
from ecgkit.evaluation.probe.fitted import FittedProbe
from ecgkit.evaluation.probe.probe import Probe, refuse_regression
from ecgkit.evaluation.scores.metrics import macro_auroc
from ecgkit.store.views import View, before_filter
from ecgkit.training.supply import Supply

CLEAN = "clean"


class PerturbedSignal:
    """The signals of a view, disturbed when they are read. A record is disturbed in the same way each time.

    Args:
        view: The view.
        recorded: The view before the contract's filter; see `ecgkit.store.views.before_filter`.
        perturbation: The perturbation.
        level: Level of the perturbation.
        seed: Seed; together with the record's row it determines the random numbers.
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
        if spec.raw is not spec:
            disturbed = spec.on_window(disturbed.astype(np.float64)).astype(np.float32)
        window[leads, :T] = disturbed
        return window


def perturbed_view(view: View, recorded: View, perturbation: Perturbation, level: float, seed: int = 0) -> View:
    """Return a view with disturbed records; see `PerturbedSignal`."""
    return replace(view, signal=cast(NDArray[np.float32], PerturbedSignal(view, recorded, perturbation, level, seed)))


def analyse_perturbation(probe: Probe, disturbances: Disturbances) -> pd.DataFrame:
    """Probe an encoder, or a whole method, on disturbed test records.

    Args:
        probe: The probe; its head is fitted on clean records. Its seed also seeds the masks and the perturbations. For
            a run, the pretraining loss is measured too.
        disturbances: The perturbations and levels to measure.

    Returns:
        A table: first the clean records, then one row per perturbation and level. Its columns are ``perturbation``,
        ``level``, ``auroc`` (macro, test), ``auroc_change`` against clean records, ``loss`` (the pretraining loss on
        the test records, with the same masks each time) and ``loss_change``; NaN without a pretraining loss.

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
    """Scores the test set, clean or disturbed.

    Args:
        fitted: The probe, fitted on clean records.
        recorded: The probe's view before the contract's filter.
        supplies: Inputs of the encoder besides the signal.
        loss: The pretraining loss; None if it cannot be computed.
    """

    fitted: FittedProbe
    recorded: View
    supplies: Mapping[str, Supply]
    loss: PretrainingLoss | None

    def clean(self) -> _Scores:
        """Score the clean records."""
        probe = self.fitted.probe
        features = probe.features_at(probe.data.parts["test"])
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
    refuse_regression(probe, "an analysis of perturbations")
    opened = probe.opened
    loss = open_pretraining_loss(probe.encoder.run, opened, probe.device)
    supplies = probe.supplies(opened.store, opened.view)
    return _Judge(probe.fit(), before_filter(opened.store, opened.view), supplies, loss)
