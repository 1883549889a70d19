"""A probe evaluates an encoder on a task under one protocol, and records everything that the numbers depend on.

The encoder's own contract builds its input from any store, whatever the store's sampling rate or lead order. The head
is fitted on the training part, its settings are chosen on the validation part, and the test part is predicted once. A
probe opens the encoder, the store and the task once. Commands, suites, analyses and attention maps all use it.
"""

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgkit.atomic import check_output
from ecgkit.config import fingerprint
from ecgkit.entries import HeadEntry
from ecgkit.errors import RunError, TaskError
from ecgkit.evaluation.features.cache import Spread, cache_folder, features_of, key_of
from ecgkit.evaluation.features.encoder import ProbedEncoder
from ecgkit.evaluation.features.extract import RecordFeatures
from ecgkit.evaluation.features.gathered import Gathered
from ecgkit.evaluation.heads.base import Part
from ecgkit.evaluation.heads.fine_tune import FineTune, FineTuneConfig, Scratch
from ecgkit.evaluation.heads.own import check_classes
from ecgkit.evaluation.heads.settings import (
    build_head,
    check_head,
    check_regresses,
    check_trained_with,
    head_config,
    head_title,
)
from ecgkit.evaluation.probe.fitted import FittedProbe
from ecgkit.evaluation.probe.kept import keep_head
from ecgkit.evaluation.probe.leaks import find_leak, refuse_leak
from ecgkit.evaluation.probe.opening import given_view, open_task
from ecgkit.evaluation.probe.request import ProbeRequest
from ecgkit.evaluation.probe.row import patients_of
from ecgkit.evaluation.probe.spread import spread
from ecgkit.evaluation.probe.training import train_in_processes
from ecgkit.evaluation.protocols.draws import Amount, nested_subset, plain_draw, strata
from ecgkit.evaluation.protocols.lead_sets import lead_set
from ecgkit.evaluation.protocols.protocol import load_protocol
from ecgkit.evaluation.results.row import RESULT, ResultRow, save_row
from ecgkit.methods import Encoder
from ecgkit.plugins import host
from ecgkit.progress import Progress, of_stage, silent
from ecgkit.store.reader import Store
from ecgkit.store.views import View
from ecgkit.tasks.data import TaskData
from ecgkit.tasks.loading import find_task, load_task
from ecgkit.tasks.task import Task
from ecgkit.training.processes import ALONE, Processes
from ecgkit.training.run import pick_device
from ecgkit.training.supply import Supply, open_supplies
from ecgkit.training.workers import Workers

OTHER_HEAD = "Probe it with another --head, or on the task that it was trained on."


class Probe:
    """An encoder, a store, a task and a head, opened once for any number of results.

    Args:
        request: The request for the probe.
        encoder: The encoder; None to open the one that the request names.
        progress: Called with the stage, units done and units in total.

    Raises:
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the encoder's leads.
        LeakError: Pretraining saw test records or patients.
        RunError: The head does not fit the encoder or the task.
    """

    def __init__(
        self, request: ProbeRequest, encoder: ProbedEncoder | None = None, progress: Progress = silent
    ) -> None:
        self._began = time.perf_counter()
        self.request = request
        self.progress = progress
        self.protocol = load_protocol(request.protocol)
        self.head = host().get(HeadEntry, request.head)
        self.head_settings = head_config(self.head, request.head_settings)
        task = load_task(find_task(request.task), request.task_settings)
        self.device = pick_device(request.device)
        self.encoder = encoder or request.encoder.open(request.seed)
        self._check_head(task)
        opened = open_task(request, self.encoder, task, self.protocol, of_stage(self.progress, "view"))
        # A head that reads the whole method learns nothing from training records, so it gets none.
        self.opened = opened.without_training() if self._reads_method else opened
        self.leak = None
        if self.encoder.weights == "pretrained" or self.encoder.seen:
            signing = of_stage(self.progress, "signatures")
            self.leak = find_leak(
                self.encoder,
                self.opened.store,
                self.opened.test_rows,
                allowed=request.allow_overlap,
                progress=signing,
            )
            refuse_leak(self.encoder, self.opened.store, self.leak)

    @property
    def data(self) -> TaskData:
        """The task's records, targets and parts."""
        return self.opened.data

    @property
    def lead_set(self) -> str:
        """Name of the lead set that the encoder is given; empty for all leads of its contract."""
        return lead_set(self.request.leads).name if self.request.leads else ""

    @property
    def trains_encoder(self) -> bool:
        """Whether the encoder itself is trained, from scratch or from its pretrained weights."""
        return self.encoder.from_scratch or "encoder" in self.head.needs

    @property
    def title(self) -> str:
        """The head's name in the result, with the settings that are not its defaults."""
        return "end-to-end" if self.encoder.from_scratch else head_title(self.head, self.head_settings)

    @property
    def _reads_method(self) -> bool:
        return not self.trains_encoder and "method" in self.head.needs

    def _check_head(self, task: Task) -> None:
        if not self.trains_encoder:
            check_head(self.head, self.encoder.entry)
        elif isinstance(self.head_settings, FineTuneConfig):
            check_trained_with(self.head_settings.head, self.encoder.entry)
        if task.regression is not None:
            scratch = self.encoder.from_scratch
            name = find_task(self.request.task).name
            check_regresses("--scratch" if scratch else self.head.name, None if scratch else self.head, name)

    def with_encoder(self, encoder: Encoder) -> "Probe":
        """Return the same probe for another encoder with the same contract, such as that of a later epoch."""
        other = copy.copy(self)
        other.encoder, other.device = replace(self.encoder, encoder=encoder), next(encoder.parameters()).device
        for made in ("reader", "_gathered"):
            other.__dict__.pop(made, None)
        return other

    def build_head(self, seed: int) -> Any:
        """Return a head that is not fitted yet. A head that reads the whole method is the same object each time."""
        if self._reads_method:
            return self._method_head
        regression = self.opened.data.task.regression is not None
        return build_head(self.head, seed, self.head_settings, device=self.device, regression=regression)

    @cached_property
    def _method_head(self) -> Any:
        return build_head(self.head, self.request.seed, self.head_settings, device=self.device)

    @cached_property
    def reader(self) -> Encoder:
        """The encoder that gives the features, on the device; or what the head builds from the whole method."""
        if self._reads_method:
            method, task = self.encoder.load_method(), self.opened.data.task
            made: Encoder = self._method_head.reader(method, task, self.encoder.entry.name)
            return made.to(self.device)
        return self.encoder.loaded().to(self.device)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the features that the head reads."""
        return ("pooled",) if self._reads_method else self.head.needs

    def features_at(self, at: NDArray[np.int64]) -> RecordFeatures:
        """Return the features that the head reads, of some of the task's records. Each record is encoded once.

        Args:
            at: Indices into the task's rows.
        """
        opened, gathered = self.opened, self._gathered
        missing = gathered.lacks(at)
        if len(missing):
            found = self.extract(opened.store, opened.view, self.data.rows[missing])
            for name, values in found.fields.items():
                gathered.put(name, missing, values)
        return RecordFeatures(gathered.take(at), opened.view.spec.leads, opened.view.present[self.data.rows[at]])

    @cached_property
    def _gathered(self) -> Gathered:
        """The features so far."""
        if "logits" in self.needs:
            check_classes(self.reader.classes, self.data.labels, OTHER_HEAD)
        return Gathered(len(self.data.rows))

    def features_of(self, needs: Sequence[str]) -> RecordFeatures:
        """Return features of all records of the task, from the cache if there is one."""
        return self.extract(self.opened.store, self.opened.view, self.data.rows, needs)

    def extract(
        self, store: Store, view: View, rows: NDArray[np.int64], needs: Sequence[str] | None = None
    ) -> RecordFeatures:
        """Return features of some rows of any store under the encoder's contract."""
        return features_of(
            self.reader,
            self.encoder.config,
            store,
            view,
            rows,
            self.needs if needs is None else needs,
            cache=self._cache,
            also=self.request.also,
            supplies=self.supplies(store, view),
            progress=of_stage(self.progress, "features"),
            spread=self._spread(view),
        )

    def _spread(self, view: View) -> Spread | None:
        """Return what encodes in other processes, which open the same request; None if this process does."""
        workers, own = self.workers, self.request.encoder.named and view is self.opened.view
        return spread(self.request, workers, of_stage(self.progress, "features")) if workers.several and own else None

    @property
    def workers(self) -> Workers:
        """Where records are encoded."""
        request = self.request
        return Workers(request.workers, request.device, request.gpus, request.dask)

    @property
    def _cache(self) -> Path | None:
        # The features that a head builds from a method depend on class names and prompts too, so they are not cached.
        asked = self.request.cache
        if asked is None or self._reads_method:
            return None
        if asked:
            return Path(asked)
        return cache_folder(self.request.below) if self.request.encoder.named else None

    @property
    def features_key(self) -> str:
        """Name of the folder of the cache that keeps the features; empty if they are not kept."""
        if self._cache is None:
            return ""
        opened = self.opened
        supplies = self.supplies(opened.store, opened.view)
        return fingerprint(key_of(self.reader, self.encoder.config, opened.store, opened.view, supplies))

    def view_of(self, store: Store) -> View:
        """Return a store as the encoder reads it, with the leads of the probe's lead set."""
        return given_view(store, self.encoder.spec, self.request.leads, of_stage(self.progress, "view"))

    def supplies(self, store: Store, view: View) -> Mapping[str, Supply]:
        """Return what the encoder needs besides the signal."""
        return open_supplies(self.reader.needs, store, view, owner=self.encoder.entry.name)

    def fit(self, amount: Amount | None = None, seed: int | None = None, seeds: int | None = None) -> FittedProbe:
        """Fit the head, or train the encoder, on the training part or on a draw of it.

        Args:
            amount: How much of the training part is used; None for what the request asks for.
            seed: Seed of the draw and of the head; None for that of the request.
            seeds: Number of results with different seeds that are made together; None for that of the request.

        Raises:
            TaskError: No training record is drawn.
            RunError: Features or predictions are not finite.
        """
        amount = amount or self.request.amount
        seed = self.request.seed if seed is None else seed
        data = self._drawn(amount, seed)
        fitted = partial(
            FittedProbe, self, data, amount=amount, seed=seed, seeds=self.request.seeds if seeds is None else seeds
        )
        if self.trains_encoder:
            trained = self._train(data, seed)
            made = fitted(
                predictor=trained,
                probabilities=trained.probabilities,
                choices=trained.choices,
                training=trained.metrics,
            )
        else:
            head = self._fit_head(data, seed)
            made = fitted(
                predictor=head,
                probabilities=self._predicted(head, data),
                choices=head.choices(),
                training=self.encoder.training,
                seen=head.seen,
            )
        if not np.isfinite(made.probabilities[_in_parts(data)]).all():
            raise RunError(
                f"{self.title} predicts NaN or infinity",
                "finite predictions",
                "The training of the head diverged: lower its learning rate with --set.",
            )
        began, self._began = self._began, time.perf_counter()
        return replace(made, seconds=self._began - began)

    def run(
        self, out: Path, amount: Amount | None = None, seed: int | None = None, seeds: int | None = None
    ) -> ResultRow:
        """Fit, score the test part, and write the result row with its predictions; see `fit`.

        The fitted head lies beside them, unless the request says otherwise.

        Args:
            out: Folder of the result; an earlier result there is replaced.
            amount: How much of the training part is used; see `fit`.
            seed: Seed of the draw and of the head; see `fit`.
            seeds: Number of results that are made together; see `fit`.

        Raises:
            OutputError: `out` exists and is not an earlier result.
        """
        check_output(out, RESULT, overwrite=True)
        fitted = self.fit(amount, seed, seeds)
        row = fitted.score()
        beside = partial(keep_head, fitted=fitted, row=row, out=out) if self.request.keep_head else None
        save_row(out, row, fitted.predictions(), beside)
        return row

    def _train(self, data: TaskData, seed: int) -> Any:
        workers = self.workers
        if max(workers.count, workers.gpus) > 1 and self.request.encoder.named:
            head = self._trainer(seed).head(self.device)
            return train_in_processes(self.request, workers, copy.deepcopy(self.reader), head, data, seed)
        return self.train(data, seed)

    def train(self, data: TaskData, seed: int, processes: Processes = ALONE) -> Any:
        """Train the encoder itself, in this process as one of several, and return a head's `Supervised`."""
        opened = self.opened
        return self._trainer(seed).train(
            self.reader,
            opened.view,
            data,
            supplies=self.supplies(opened.store, opened.view),
            progress=of_stage(self.progress, "epochs"),
            processes=processes,
        )

    def _trainer(self, seed: int) -> FineTune:
        if self.encoder.from_scratch:
            return Scratch(seed=seed, epochs=self.request.epochs)
        trainer: FineTune = self.build_head(seed)
        return trainer

    def _fit_head(self, data: TaskData, seed: int) -> Any:
        head = self.build_head(seed)
        head.progress(of_stage(self.progress, "head"))
        self.features_at(_in_parts(data))  # all that will be read, in one pass
        train, val = self.part(data, "train"), self.part(data, "val")
        self.progress("head", 0, 1)
        head.fit(train, val)
        self.progress("head", 1, 1)
        return head

    def part(self, data: TaskData, name: str) -> Part:
        """Return features and targets of one part."""
        rows = data.parts[name]
        return Part(self.features_at(rows), data.targets[rows])

    def _predicted(self, head: Any, data: TaskData) -> NDArray[np.float64]:
        """Return the head's predictions ``[len(data.rows), C]``; NaN for records that are in no part."""
        at = _in_parts(data)
        known: NDArray[np.float64] = head.predict(self.features_at(at))
        predicted = np.full((len(data.rows), *known.shape[1:]), np.nan)
        predicted[at] = known
        return predicted

    def _drawn(self, amount: Amount, seed: int) -> TaskData:
        """Return the task with the training records of a draw."""
        data = self.data
        if amount.all:
            return data
        return replace(data, parts={**data.parts, "train": self._draw(amount, self.protocol.draw_seed(seed))})

    def _draw(self, amount: Amount, random_state: int) -> NDArray[np.int64]:
        """Return the training records of a draw as indices into the task's rows."""
        data, order = self.data, self.opened.order
        if self.protocol.draw == "stratified":
            order = order[order >= 0]
            patients = patients_of(self.opened.store, data)[order].tolist()
            chosen = order[nested_subset(strata(data)[order], patients, amount.records(len(order)), random_state)]
        else:
            # Draw from all records that the published table lists, so that the draw equals the published one. Then
            # reduced to those that the store has.
            chosen = order[plain_draw(self.protocol.draw, len(order), amount, random_state)]
            chosen = chosen[chosen >= 0]
        if not len(chosen):
            raise TaskError(
                f"the draw of {amount.name} holds no record", "a larger share, or a store with more of them"
            )
        return np.sort(chosen)


def _in_parts(data: TaskData) -> NDArray[np.int64]:
    """Return the records of all parts, as ascending indices into the task's rows."""
    return np.unique(np.concatenate(list(data.parts.values())))


def refuse_regression(probe: Probe, what: str) -> None:
    """Raise if the task is a regression, because AUROC needs classes.

    Raises:
        RunError: The task is a regression.
    """
    if probe.data.task.regression is not None:
        raise RunError(f"{what} on the regression task {probe.opened.name}", "a task with classes, for it scores AUROC")
