"""Probe: judge an encoder by a task, under one protocol, and write down everything the number depends on.

The encoder's own contract builds its input from any store, whatever its rate or lead order. The head is fitted on
folds 1-8 (or what the task says), its settings chosen on validation, and the test part is predicted once.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgkit.atomic import check_output
from ecgkit.config import fingerprint
from ecgkit.entries import HeadEntry, TaskEntry
from ecgkit.errors import RunError, TaskError
from ecgkit.evaluation.across import Site, across, follow
from ecgkit.evaluation.draws import Amount, nested_subset, plain_draw
from ecgkit.evaluation.feature_cache import FeatureCache
from ecgkit.evaluation.features import RecordFeatures, extract
from ecgkit.evaluation.heads.base import Head, Part
from ecgkit.evaluation.heads.fine_tune import FineTune, Scratch
from ecgkit.evaluation.heads.settings import build_head, check_head, check_regresses, head_config, head_title
from ecgkit.evaluation.lead_sets import lead_set
from ecgkit.evaluation.leaks import refuse_leak
from ecgkit.evaluation.protocol import RULES, Protocol, load_protocol
from ecgkit.evaluation.protocols import DEFAULT
from ecgkit.evaluation.regression import strata
from ecgkit.evaluation.results import RESULT, ResultRow, save_row
from ecgkit.evaluation.scoring import Fitted, Setting, patients_of, predictions, result_row
from ecgkit.evaluation.splits import read_tables, split_data
from ecgkit.evaluation.subject import Subject
from ecgkit.methods import Encoder
from ecgkit.store.reader import Store
from ecgkit.store.views import View, open_view
from ecgkit.tasks.task import Task, TaskData, load_task, task_data
from ecgkit.training.run import pick_device
from ecgkit.training.supply import open_supplies


@dataclass(frozen=True)
class ProbeOptions:
    """How to probe: plain values, so that a YAML file can hold them.

    Args:
        head: Name of the head on frozen features; not used for ``scratch``.
        seed: Of the head, or of the training from scratch.
        epochs: Of the training from scratch; None for the recipe's.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        head_settings: Changes of the head's settings, such as ``gate=frozen``.
        leads: The lead set that the model is given; empty for all that its contract names.
        task_settings: Changes of the task, such as ``icd10.count_on=train``.
        eval_data: Path of another store that is tested instead; see `ecgkit.evaluation.across`.
        cache: Folder in which features are kept; None keeps none.
        also: Features that other heads will ask the cache for; see `FeatureCache.extract`.
        allow_overlap: Go on where pretraining saw test records or patients; the result says so.
        fraction: Share of the training part in per cent.
        label_count: Number of training records instead.
        protocol: Whose choices; see `ecgkit.evaluation.protocol`.
        splits: Folder or prefix of published split tables; empty for the task's own split.
        label_set: ``exact`` for the store's codes, ``shipped`` for the labels of the split tables; empty for what the
            protocol has.
    """

    head: str = "linear"
    seed: int = 0
    epochs: int | None = None
    device: str = "auto"
    head_settings: tuple[str, ...] = ()
    leads: str = ""
    task_settings: tuple[str, ...] = ()
    eval_data: str = ""
    cache: Path | None = None
    also: tuple[str, ...] = ()
    allow_overlap: bool = False
    fraction: float = 100.0
    label_count: int | None = None
    protocol: str = DEFAULT
    splits: str = ""
    label_set: Literal["", "exact", "shipped"] = ""

    @property
    def amount(self) -> Amount:
        """How much of the training part is used."""
        return Amount(self.fraction, self.label_count)


def result_folder(parent: Path, task: str, subject: Subject, store: Store, options: ProbeOptions) -> Path:
    """Return where a result lies by default: below its run, named by all that may differ between two results."""
    head = "end-to-end" if subject.weights == "scratch" else options.head
    # Neither the device nor the leave to go on changes a number; another store does by what it holds, not by its path.
    elsewhere = [Store(Path(options.eval_data))] if options.eval_data else []
    settings = replace(options, device="auto", allow_overlap=False, eval_data="", cache=None, also=())
    hashes = [other.content_hash for other in elsewhere]
    rest = fingerprint(subject.config, store.content_hash, settings, *hashes)[:6]
    leads = f"-leads-{re.sub(r'[^A-Za-z0-9]+', '-', options.leads)}" if options.leads else ""
    amount = "" if options.amount.all else f"-{options.amount.name}"
    stores = "-to-".join(each.name.removesuffix(".zarr") for each in (store, *elsewhere))
    return parent / "probes" / f"{task}-{head}-{stores}{leads}{amount}-seed{options.seed}-{rest}"


def probe(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    out: Path,
    options: ProbeOptions = ProbeOptions(),
    progress: Callable[[str, int, int], None] | None = None,
) -> ResultRow:
    """Judge an encoder and write a result row with its predictions.

    Args:
        subject: The encoder.
        store: The data.
        task_entry: The task.
        head_entry: The head.
        out: Folder of the result; an earlier result there is replaced.
        options: See `ProbeOptions`.
        progress: Called with the stage, units done and in all.

    Returns:
        The row.

    Raises:
        TaskError: The store lacks the task's labels.
        LeadError: The store lacks the model's leads.
        LeakError: Pretraining saw test records or patients.
        OutputError: `out` is something else than an earlier result.
    """
    began = time.perf_counter()
    check_output(out, RESULT, overwrite=True)
    prepared = prepare_probe(subject, store, task_entry, head_entry, options, progress)
    return prepared.run(out, began=began)


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
        head, named = "end-to-end" if self.subject.weights == "scratch" else self.options.head, self.options.protocol
        further = {
            **self.departures,
            **self.protocol.also_departs(head, seed, amount, splits=bool(self.options.splits)),
        }
        drawn = f"{RULES[self.protocol.draw]}; random state {self.protocol.draw_seed(seed)}"
        return replace(
            self.setting,
            data=replace(data, parts={**data.parts, "train": train}),
            seed=seed,
            fraction=amount.percent / 100 if amount.count is None else len(train) / len(whole),
            label_count=amount.count,
            words={
                **self.protocol.words(named, further),
                **self.setting.words,
                **({} if amount.all else {"draw of training records": drawn}),
            },
        )

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
        title = "end-to-end" if scratch else head_title(self.head, head_config(self.head, self.options.head_settings))
        return Fitted(trained.probabilities, title, trained.choices, trained.metrics)

    def _fit_head(self, features: RecordFeatures, setting: Setting) -> Fitted:
        head, data = self.build(setting.seed), setting.data
        head.progress(lambda done, total: self.watch("head", done, total))
        train, val = (Part(features.take(data.parts[p]), data.targets[data.parts[p]]) for p in ("train", "val"))
        self.watch("head", 0, 1)
        head.fit(train, val)
        self.watch("head", 1, 1)
        title = head_title(self.head, head_config(self.head, self.options.head_settings))
        return Fitted(head.predict(features), title, head.choices(), self.subject.training, head.seen)


def prepare_probe(
    subject: Subject,
    store: Store,
    task_entry: TaskEntry,
    head_entry: HeadEntry,
    options: ProbeOptions = ProbeOptions(),
    progress: Callable[[str, int, int], None] | None = None,
) -> PreparedProbe:
    """Do what all probes of an encoder by a task share: open the data and extract features; see `probe`."""
    watch = progress or (lambda stage, done, total: None)
    frozen = not trains_encoder(subject, head_entry)
    if frozen:
        check_head(head_entry, subject.entry)
    task = load_task(task_entry, options.task_settings)
    regression = task.regression is not None
    if regression:
        scratch = subject.weights == "scratch"
        check_regresses("--scratch" if scratch else head_entry.name, None if scratch else head_entry, task_entry.name)
    config = head_config(head_entry, options.head_settings)
    given = lead_set(options.leads) if options.leads else None
    device = pick_device(options.device)

    def narrow(view: View) -> View:
        return view.only(given.leads) if given else view

    def viewed(done: int, total: int) -> None:
        watch("view", done, total)

    view = narrow(open_view(store, subject.spec, viewed))
    protocol = load_protocol(options.protocol)
    split = _split(task, task_entry.name, store, view, protocol, options)
    data, order, name = split.data, split.order, task_entry.name
    if options.eval_data:
        here = Site(store, view, replace(data, told={**data.told, **split.words}))
        there = across(here, Store(Path(options.eval_data)), subject, narrow, viewed)
        order = follow(order, data, there.data)
        store, view, data, name = there.store, there.view, there.data, f"{name}@{Path(options.eval_data).stem}"
    refuse_leak(subject, store, data.rows[data.parts["test"]], allow=options.allow_overlap)
    encoder, needs = subject.encoder.to(device), head_entry.needs

    def build(seed: int) -> Any:
        return build_head(head_entry, seed, config, regression=regression)

    if frozen and "method" in needs:
        head = build(options.seed)
        encoder, needs, data = read_method(head, subject, data.task).to(device), ("pooled",), without_training(data)
        order = data.parts["train"]
        build = lambda seed: head  # noqa: E731  it knows what the method was trained on
    setting = Setting(
        store, view, name, data.task, data, options.seed, device,
        lead_set=given.name if given else "", words=split.words, hashes=split.hashes,
    )  # fmt: skip
    features = None
    if frozen:
        if "logits" in needs:
            check_classes(encoder.classes, data.labels, head_entry.name)
        features = _features(subject, encoder, setting, needs, options, watch)
    return PreparedProbe(
        subject, setting, head_entry, build, options, features, encoder, needs, protocol, order, split.departures, watch
    )


@dataclass(frozen=True)
class _Split:
    """A task on a store by its own split or by published tables, and what a result says of that."""

    data: TaskData
    order: NDArray[np.int64]
    words: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    departures: Mapping[str, str] = field(default_factory=dict)


def _split(task: Task, name: str, store: Store, view: View, protocol: Protocol, options: ProbeOptions) -> _Split:
    wanted = options.label_set or protocol.label_set(name)
    departs = {"label set": f"{wanted}; the protocol has {protocol.label_set(name)}"}
    if not options.splits:
        by_code = wanted == "shipped" and task.has_shipped
        if options.label_set == "shipped" and not by_code:
            raise TaskError("label set shipped without split tables", "the tables that the labels come with: --splits")
        task = replace(task, label_set="shipped") if by_code else task
        data = task_data(task, name, store, view.usable, numbers=True)
        lacks = {"label set": "exact, by the store's codes; the protocol has those of its tables: --splits"}
        return _Split(data, data.parts["train"], departures=lacks if wanted == "shipped" and not by_code else {})
    tables = read_tables(Path(options.splits))
    found = split_data(tables, task, name, store, view.usable, shipped=wanted == "shipped")
    words = {"split": f"published tables {tables.name}", **({"label set": wanted} if wanted == "shipped" else {})}
    departures = departs if wanted != protocol.label_set(name) else {}
    return _Split(found.data, found.order, words, {"split tables": tables.sha256}, departures)


def trains_encoder(subject: Subject, head: HeadEntry) -> bool:
    """Return whether a probe trains the encoder itself, from scratch or from its pretrained weights."""
    return subject.weights == "scratch" or "encoder" in head.needs


def _features(
    subject: Subject,
    encoder: Encoder,
    setting: Setting,
    needs: Sequence[str],
    options: ProbeOptions,
    watch: Callable[[str, int, int], None],
) -> RecordFeatures:
    """Return the features of all the task's records, from the cache where there is one."""
    store, view, rows = setting.store, setting.view, setting.data.rows
    supplies = open_supplies(encoder.needs, store, view, owner=subject.entry.name)
    # What a head makes of a method depends on class names and prompts too, and is not kept.
    if options.cache is None or encoder is not subject.encoder:
        return extract(
            encoder, view, rows, needs, supplies=supplies,
            progress=lambda done, total: watch("features", done, total),
        )  # fmt: skip
    return FeatureCache(options.cache).extract(
        encoder, subject.config, store, view, rows, needs, also=options.also, supplies=supplies,
        progress=lambda done, total: watch("features", done, total),
    )  # fmt: skip


def read_method(head: Head, subject: Subject, task: Task) -> Encoder:
    """Return what a head makes of the whole method.

    Raises:
        RunError: There is only an encoder, or the method cannot do what the head asks.
    """
    if subject.method is None:
        raise RunError(
            f"{subject.name} is an encoder alone", "a pretrained run, for this head needs the whole method",
            "Name a run folder: ecgkit probe RUN --data STORE --task TASK",
        )  # fmt: skip
    return head.reader(subject.method(), task, subject.entry.name)


def without_training(data: TaskData) -> TaskData:
    """Return a task without its training records, for a head that has nothing to learn from them."""
    kept = np.concatenate([data.parts["val"], data.parts["test"]])
    ends = len(data.parts["val"])
    parts = {"train": np.empty(0, np.int64), "val": np.arange(ends), "test": np.arange(ends, len(kept))}
    return replace(data, rows=data.rows[kept], targets=data.targets[kept], parts=parts)


def check_classes(own: Sequence[str], asked: Sequence[str], head: str) -> None:
    """Refuse to read an encoder's own logits as the classes of another task.

    Raises:
        RunError: They are not the same classes in the same order.
    """
    if tuple(own) != tuple(asked):
        has = f"classes {', '.join(own)}" if own else "no classifier of its own"
        raise RunError(
            f"the encoder has {has}", f"{', '.join(asked)}, for head {head}",
            "Probe it with another head, or on the task that it was trained on.",
        )  # fmt: skip
