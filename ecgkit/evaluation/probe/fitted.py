"""A fitted probe. It predicts any rows of any store, and scores the test set of its task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgkit.evaluation.probe.facts import facts_of
from ecgkit.evaluation.probe.row import predictions, result_row
from ecgkit.evaluation.protocols.draws import Amount
from ecgkit.evaluation.results.row import ResultRow
from ecgkit.store.reader import Store
from ecgkit.tasks.data import TaskData

if TYPE_CHECKING:
    from ecgkit.evaluation.probe.probe import Probe


@dataclass(frozen=True)
class FittedProbe:
    """A head that was fitted on a task, or an encoder that was trained on it.

    Args:
        probe: The probe.
        data: The task's records. Its training part holds only the drawn records.
        amount: Requested amount of training records.
        seed: Seed of the draw and of the head.
        seeds: Number of results with different seeds that are made together.
        predictor: The fitted head, or the trained encoder with its linear layer.
        probabilities: Predictions of the task's records, ``[len(data.rows), C]``; of a regression, numbers. NaN for
            records that are in no part, such as those that a draw leaves out.
        choices: Settings that were tried and chosen, by heading.
        training: Metrics of each epoch; empty if nothing was trained.
        seen: For each label, the class name that the model was trained with; see `ecgkit.evaluation.heads.base.Head`.
        seconds: Wall time.
    """

    probe: "Probe"
    data: TaskData
    amount: Amount
    seed: int
    seeds: int
    predictor: Any
    probabilities: NDArray[np.float64]
    choices: Mapping[str, Any]
    training: tuple[dict[str, Any], ...]
    seen: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def fraction(self) -> float:
        """Share of the training part: the requested share, or the share that a requested number of records makes up."""
        if self.amount.count is None:
            return self.amount.percent / 100
        return len(self.data.parts["train"]) / len(self.probe.data.parts["train"])

    def predict(self, store: Store | None = None, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Predict rows of a store, ``[len(rows), C]``.

        Args:
            store: The store; None for that of the probe.
            rows: Rows of the store; the encoder must be able to read them. None for all rows that it can read.

        Raises:
            LeadError: The store lacks the encoder's leads.
        """
        opened = self.probe.opened
        view = opened.view if store is None else self.probe.view_of(store)
        store = opened.store if store is None else store
        rows = np.flatnonzero(view.usable) if rows is None else rows
        if self.probe.trains_encoder:
            supplies = self.probe.supplies(store, view)
            trained: NDArray[np.float64] = self.predictor.predict(view, rows, supplies)
            return trained
        found: NDArray[np.float64] = self.predictor.predict(self.probe.extract(store, view, rows))
        return found

    def score(self) -> ResultRow:
        """Score the test set. Return the result row with everything that its numbers depend on."""
        facts = facts_of(
            self.probe,
            self.data,
            amount=self.amount,
            seed=self.seed,
            seeds=self.seeds,
            choices=self.choices,
            training=self.training,
        )
        return result_row(self, facts)

    def predictions(self) -> pd.DataFrame:
        """Return targets and predictions of the validation and test records, one row per record."""
        return predictions(self.probe.opened.store, self.data, self.probabilities)
