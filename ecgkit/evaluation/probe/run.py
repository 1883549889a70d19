"""A probe whose data and features are there, to be run on all training records or on draws of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.entries import HeadEntry
from ecgkit.errors import TaskError
from ecgkit.evaluation.features.encoder import Subject
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.fine_tune import FineTune, Scratch
from ecgkit.evaluation.heads.settings import head_config, head_title
from ecgkit.evaluation.probe.options import ProbeOptions
from ecgkit.evaluation.probe.result import Fitted, Setting, patients_of, predictions, result_row
from ecgkit.evaluation.protocols.draws import Amount, nested_subset, plain_draw, strata
from ecgkit.evaluation.protocols.protocol import RULES, Protocol
from ecgkit.evaluation.results.row import ResultRow, save_row
from ecgkit.methods import Encoder
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class PreparedProbe:
    """A probe whose features are there: it can be run on all training records, or on some of them.

    Args:
        subject: The encoder.
        setting: Task and store.
        head: The head's entry.
        build: Gives a head anew for every fit; one that reads the whole method is the same each time.
        options: See `ProbeOptions`.
        features: Of all the task's records; None where the encoder itself is trained.
        encoder: What the features are of: the subject's encoder, or what the head makes of the whole method.
        needs: Which features.
        protocol: Whose choices.
        order: What draws choose from: indices into the task's rows, in the order of the store, or of a split table with
            -1 for what is missing.
        departures: From the protocol, whatever is drawn.
        watch: Called with the stage, units done and in all.
    """

    subject: Subject
    setting: Setting
    head: HeadEntry
    build: Callable[[int], Any]
    options: ProbeOptions
    features: RecordFeatures | None
    encoder: Encoder
    needs: Sequence[str]
    protocol: Protocol
    order: NDArray[np.int64]
    departures: Mapping[str, str]
    watch: Callable[[str, int, int], None]

    def run(
        self, out: Path, *, began: float, amount: Amount | None = None, seed: int | None = None, seeds: int = 1
    ) -> ResultRow:
        """Fit, predict, and write a result row with its predictions.

        Args:
            out: Folder of the result; an earlier result there is replaced.
            began: When the work on it began, of `time.perf_counter`.
            amount: How much of the training part is used; None for what the options say.
            seed: Of the draw and the head; None for that of the options.
            seeds: How many results with other seeds are made beside it.

        Raises:
            TaskError: No training record is drawn.
        """
        setting = self._drawn(amount or self.options.amount, self.options.seed if seed is None else seed)
        fitted = self._fit(setting)
        row = result_row(self.subject, replace(setting, seeds=seeds), fitted, seconds=time.perf_counter() - began)
        save_row(out, row, predictions(setting, fitted))
        return row

    def _drawn(self, amount: Amount, seed: int) -> Setting:
        """Return the setting with the training records of a draw, and what the protocol says of it."""
        data, whole = self.setting.data, self.setting.data.parts["train"]
        train = whole if amount.all else self._draw(amount, self.protocol.draw_seed(seed))
        return replace(
            self.setting,
            data=replace(data, parts={**data.parts, "train": train}),
            seed=seed,
            fraction=amount.percent / 100 if amount.count is None else len(train) / len(whole),
            label_count=amount.count,
            words=self._words(amount, seed),
        )

    def _words(self, amount: Amount, seed: int) -> dict[str, str]:
        head = "end-to-end" if self.subject.weights == "scratch" else self.options.head
        departs = self.protocol.also_departs(head, seed, amount, splits=bool(self.options.splits))
        drawn = f"{RULES[self.protocol.draw]}; random state {self.protocol.draw_seed(seed)}"
        return {
            **self.protocol.words(self.options.protocol, {**self.departures, **departs}),
            **self.setting.words,
            **({} if amount.all else {"draw of training records": drawn}),
        }

    def _draw(self, amount: Amount, seed: int) -> NDArray[np.int64]:
        """Return the training records of a draw as indices into the task's rows."""
        data, order = self.setting.data, self.order
        if self.protocol.draw == "stratified":
            order = order[order >= 0]
            patients = patients_of(self.setting.store, data)[order].tolist()
            chosen = order[nested_subset(strata(data)[order], patients, amount.records(len(order)), seed)]
        else:
            # Drawn from all that the published table lists, so that a draw is the published one; then those that are
            # there.
            chosen = order[plain_draw(self.protocol.draw, len(order), amount, seed)]
            chosen = chosen[chosen >= 0]
        if not len(chosen):
            raise TaskError(
                f"the draw of {amount.name} holds no record", "a larger share, or a store with more of them"
            )
        return np.sort(chosen)

    def _fit(self, setting: Setting) -> Fitted:
        if self.features is None:
            return self._train_end_to_end(setting)
        return self._fit_head(self.features, setting)

    def _train_end_to_end(self, setting: Setting) -> Fitted:
        scratch, encoder = self.subject.weights == "scratch", self.subject.encoder
        trainer: FineTune = (
            Scratch(seed=setting.seed, epochs=self.options.epochs) if scratch else self.build(setting.seed)
        )
        trained = trainer.train(
            encoder, setting.view, setting.data,
            supplies=open_supplies(encoder.needs, setting.store, setting.view, owner=self.subject.entry.name),
            progress=lambda done, total: self.watch("epochs", done, total),
        )  # fmt: skip
        title = "end-to-end" if scratch else self._title
        return Fitted(trained.probabilities, title, trained.choices, trained.metrics)

    def _fit_head(self, features: RecordFeatures, setting: Setting) -> Fitted:
        head, data = self.build(setting.seed), setting.data
        head.progress(lambda done, total: self.watch("head", done, total))
        train, val = (Part(features.take(data.parts[p]), data.targets[data.parts[p]]) for p in ("train", "val"))
        self.watch("head", 0, 1)
        head.fit(train, val)
        self.watch("head", 1, 1)
        return Fitted(head.predict(features), self._title, head.choices(), self.subject.training, head.seen)

    @property
    def _title(self) -> str:
        return head_title(self.head, head_config(self.head, self.options.head_settings))
